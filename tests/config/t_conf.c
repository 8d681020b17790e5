/* t_conf.c - what a file means. */
#include "conf_t.h"

#include <stdlib.h>
#include <unistd.h>

TEST("an empty file runs")
{
    struct sp_conf *c = t_good("");
    char name[300] = "";

    CHECK_INT(gethostname(name, sizeof name - 1), 0);
    CHECK_STR(c->hostname, conf_domain_ok(sp_str(name)) ? name : "localhost");
    CHECK_STR(c->data_directory, "/var/lib/sallyport");
    CHECK_STR(c->control_socket, "/var/lib/sallyport/control");
    CHECK_INT(c->message_size, 50 << 20);
    CHECK_INT(c->queue_lifetime_s, 5 * 86400);
    CHECK_INT(c->retry_intervals.n, 7);
    CHECK_INT(c->n_listeners, 3);
    CHECK_STR(c->listeners[0].address.v[0].text, "*:587");
    CHECK_INT(c->listeners[0].tls, SP_CONF_STARTTLS);
    CHECK_STR(c->listeners[1].address.v[0].text, "*:465");
    CHECK_INT(c->listeners[1].tls, SP_CONF_IMPLICIT);
    for (size_t i = 0; i < 2; i++) {
        CHECK(c->listeners[i].head.implied);
        CHECK_INT(c->listeners[i].n_tls_certs, 1);
        CHECK(c->listeners[i].tls_certs[0]->self_signed);
        CHECK_STR(c->listeners[i].tls_certs[0]->key,
                  "/var/lib/sallyport/tls/self-signed.key");
        CHECK_INT(c->listeners[i].auth_clear.n, 0);
        CHECK_INT(c->listeners[i].auth_tls.n, 3);
        CHECK_INT(c->listeners[i].client_certificates, SP_CONF_CERTS_OFF);
        CHECK(c->listeners[i].client_certificates_auto);
        CHECK_INT(c->listeners[i].message_size, 50 << 20);
    }
    CHECK_INT(c->n_routes, 1);
    CHECK_STR(c->routes[0].path, "/var/lib/sallyport/mail/%d/%u");
    t_round_trip(c);
    sp_conf_unref(c);
}

TEST("CR LF, blanks, tabs, comments and a missing last line end mean nothing")
{
    struct sp_conf *c =
        t_good("\t hostname\t=  a.example  # comment\r\n\r\n#\n  # x = y\r\n"
               "listener  a   {   # here\n address=*:1 # a comment\n}# end\n"
               "log-level=debug");

    CHECK_STR(c->hostname, "a.example");
    CHECK_STR(c->listeners[0].head.name, "a");
    CHECK_INT(c->log_level, SP_LEVEL_DEBUG);
    sp_conf_unref(c);
}

TEST("a comment begins at the beginning of a word")
{
    struct sp_conf *c = t_good("data-directory = /a#b # comment\n");

    CHECK_STR(c->data_directory, "/a#b");
    sp_conf_unref(c);
}

TEST("a list goes on where its key is written again")
{
    struct sp_conf *c = t_good("local-domains = a.example b.example\nlog-level = info\n"
                               "local-domains =\nlocal-domains = c.example\n");

    CHECK_INT(c->local_domains.n, 3);
    CHECK_STR(c->local_domains.v[2], "c.example");
    sp_conf_unref(c);
}

TEST("an empty list is not the default")
{
    struct sp_conf *c = t_good("local-domains =\n");

    CHECK_INT(c->local_domains.n, 0);
    CHECK_INT(c->n_routes, 0);
    CHECK(sp_conf_route_for(c, SP_LIT("a@b.example"), SP_LIT(""), SP_LIT("")) == NULL);
    t_round_trip(c);
    sp_conf_unref(c);
}

TEST("a listener without certificates has all tls sections, in order")
{
    struct sp_conf *c = t_good("listener l {\naddress = *:587\n}\n"
                               "tls b {\ncertificate = b.pem\nkey = /b.key\n}\n"
                               "tls a {\ncertificate = a.pem\nnames = a.example\n}\n");
    const struct sp_conf_listener *l = &c->listeners[0];

    CHECK_INT(l->n_tls_certs, 2);
    CHECK_STR(l->tls_certs[0]->head.name, "b");
    CHECK_STR(l->tls_certs[0]->certificate, "/etc/sallyport/b.pem");
    CHECK_STR(l->tls_certs[0]->key, "/b.key");
    CHECK_STR(l->tls_certs[1]->key, "/etc/sallyport/a.pem");
    CHECK_STR(l->tls_certs[1]->names.v[0], "a.example");
    t_round_trip(c);
    sp_conf_unref(c);
}

TEST("a path is a certificate with its key in one file, and is made once")
{
    struct sp_conf *c =
        t_good("tls main {\ncertificate = /m\n}\n"
               "listener a {\naddress = *:587\ncertificate = ./x.pem main\n}\n"
               "listener b {\naddress = *:465\ncertificate = /etc/sallyport/x.pem "
               "self-signed\n}\n");

    CHECK_INT(c->n_tls, 3);
    CHECK_STR(c->listeners[0].tls_certs[0]->key, "/etc/sallyport/x.pem");
    CHECK(c->listeners[0].tls_certs[0] == c->listeners[1].tls_certs[0]);
    CHECK(c->listeners[1].tls_certs[1]->self_signed);
    t_round_trip(c);
    sp_conf_unref(c);
}

TEST("client certificates are optional where there is a client CA, else left to pins")
{
    struct sp_conf *c =
        t_good("listener a {\naddress = *:1\n}\n"
               "listener b {\naddress = *:2\nclient-ca = ca.pem\n}\n"
               "listener c {\naddress = *:3\nclient-certificates = off\n}\n"
               "listener d {\naddress = *:4\nclient-ca = ca.pem\nclient-certificates = "
               "required\n}\n");
    const struct sp_conf_listener *l = c->listeners;

    CHECK(l[0].client_certificates == SP_CONF_CERTS_OFF &&
          l[0].client_certificates_auto);
    CHECK(l[1].client_certificates == SP_CONF_CERTS_OPTIONAL &&
          l[1].client_certificates_auto);
    CHECK(l[2].client_certificates == SP_CONF_CERTS_OFF &&
          !l[2].client_certificates_auto);
    CHECK(l[3].client_certificates == SP_CONF_CERTS_REQUIRED &&
          !l[3].client_certificates_auto);
    t_round_trip(c);
    sp_conf_unref(c);
}

TEST("a listener's message size is the top's unless it has its own")
{
    struct sp_conf *c = t_good("message-size = 1M\nlistener a {\naddress = *:1\n}\n"
                               "listener b {\naddress = *:2\nmessage-size = 2M\n}\n");

    CHECK_INT(c->listeners[0].message_size, 1 << 20);
    CHECK_INT(c->listeners[1].message_size, 2 << 20);
    CHECK(sp_conf_listener_named(c, "b") == &c->listeners[1]);
    CHECK(sp_conf_listener_named(c, "c") == NULL);
    sp_conf_unref(c);
}

TEST("a local listener has no TLS and no certificate")
{
    struct sp_conf *c =
        t_good("listener l {\naddress = unix:run/submit\ntype = local\n}\n");

    CHECK_INT(c->listeners[0].tls, SP_CONF_NONE);
    CHECK_INT(c->listeners[0].n_tls_certs, 0);
    CHECK(!c->listeners[0].client_certificates_auto);
    CHECK_INT(c->listeners[0].address.v[0].kind, SP_CONF_ADDR_UNIX);
    CHECK_STR(c->listeners[0].address.v[0].host, "/etc/sallyport/run/submit");
    t_round_trip(c);
    sp_conf_unref(c);
}

/* ---- routes ---- */

static const char *route(const struct sp_conf *c, const char *recipient,
                         const char *sender, const char *user)
{
    const struct sp_conf_route *r =
        sp_conf_route_for(c, sp_str(recipient), sp_str(sender), sp_str(user));

    return r ? r->head.name : "no route";
}

TEST("the first route that matches is taken")
{
    struct sp_conf *c =
        t_good("local-domains =\n"
               "route bob { \nmatch = bob@example.org\nto = discard\n}\n"
               "route null { \nmatch = sender:<>\nto = discard\n}\n"
               "route from { \nmatch = sender:carol@a.example sender:b.example\nto = "
               "discard\n}\n"
               "route user { \nmatch = user:dave\nto = discard\n}\n"
               "route sub { \nmatch = *.example.org\nto = discard\n}\n"
               "route org { \nmatch = example.net example.org\nto = discard\n}\n");

    CHECK_STR(route(c, "bob@EXAMPLE.org", "x@y.example", ""), "bob");
    CHECK_STR(route(c, "Bob@example.org", "x@y.example", ""), "org");
    CHECK_STR(route(c, "a@x.example", "", ""), "null");
    CHECK_STR(route(c, "a@x.example", "<>", ""), "null");
    CHECK_STR(route(c, "a@x.example", "carol@A.example", ""), "from");
    CHECK_STR(route(c, "a@x.example", "Carol@a.example", ""), "no route");
    CHECK_STR(route(c, "a@x.example", "any@b.example", ""), "from");
    CHECK_STR(route(c, "a@x.example", "any@sub.b.example", ""), "no route");
    CHECK_STR(route(c, "a@x.example", "x@y.example", "dave"), "user");
    CHECK_STR(route(c, "a@x.example", "x@y.example", "Dave"), "no route");
    CHECK_STR(route(c, "a@deep.sub.example.org", "x@y.example", ""), "sub");
    CHECK_STR(route(c, "a@notexample.org", "x@y.example", ""), "no route");
    CHECK_STR(route(c, "a@.example.org", "x@y.example", ""), "no route");
    CHECK_STR(route(c, "a@Example.Net", "x@y.example", ""), "org");
    CHECK_STR(route(c, "", "x@y.example", ""), "no route");
    CHECK_STR(route(c, "example.org", "x@y.example", ""), "no route");
    sp_conf_unref(c);
}

TEST("local domains go to Maildirs, in front of the route that takes everything")
{
    struct sp_conf *c =
        t_good("data-directory = /d%d\nlocal-domains = a.example b.example\n"
               "route lmtp {\nmatch = B.example\nto = lmtp\nlmtp = unix:/l\n}\n"
               "route all {\nmatch = *\nto = smarthost\nhost = mx.example\n}\n");

    CHECK_INT(c->n_routes, 3);
    CHECK_STR(route(c, "x@a.example", "", ""), "local-domains");
    CHECK_STR(route(c, "x@b.example", "", ""), "lmtp");
    CHECK_STR(route(c, "x@c.example", "", ""), "all");
    CHECK_STR(c->routes[1].path, "/d%%d/mail/%d/%u");
    CHECK(c->routes[1].head.implied);
    CHECK_INT(c->routes[1].match.n, 1); /* b.example has a route of its own */
    t_round_trip(c);
    sp_conf_unref(c);
}

TEST("without a route, mail for other domains has none: it is never dropped silently")
{
    struct sp_conf *c =
        t_good("hostname = mail.a.example\nlocal-domains = a.example\n");

    CHECK_STR(route(c, "x@a.example", "", ""), "local-domains");
    CHECK_STR(route(c, "x@b.example", "", ""), "no route");
    sp_conf_unref(c);
    c = t_good("hostname = mail.a.example\n");
    CHECK_STR(route(c, "x@mail.a.example", "", ""), "local-domains");
    sp_conf_unref(c);
}

TEST("the postmaster is where mail stays: at the host's name, or at the first local "
     "domain")
{
    static const struct {
        const char *text, *postmaster;
    } rows[] = {
        {"hostname = mail.a.example\n", "postmaster@mail.a.example"},
        {"hostname = mail.a.example\nlocal-domains = a.example b.example\n",
         "postmaster@a.example"},
        {"hostname = mail.a.example\nlocal-domains = a.example Mail.A.example\n",
         "postmaster@mail.a.example"},
        {"hostname = mail.a.example\nlocal-domains =\n", "postmaster@mail.a.example"},
        {"hostname = mail.a.example\nlocal-domains = a.example\npostmaster = "
         "pm@b.example\n",
         "pm@b.example"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sp_conf *c = t_good(rows[i].text);

        CHECK_STR(c->postmaster, rows[i].postmaster);
        sp_conf_unref(c);
    }
}

TEST("ports are filled in by what the host is for")
{
    struct sp_conf *c =
        t_good("route a {\nmatch = a.example\nto = smarthost\nhost = mx.example\n}\n"
               "route b {\nmatch = b.example\nto = smarthost\nhost = mx.example\ntls = "
               "implicit\n}\n"
               "route c {\nmatch = c.example\nto = lmtp\nlmtp = [::1] 127.0.0.9\n}\n"
               "route d {\nmatch = d.example\nto = lmtp\nlmtp = lm.example\n}\n");

    CHECK_INT(c->routes[0].host.v[0].port, 587);
    CHECK_INT(c->routes[0].tls, SP_CONF_RTLS_REQUIRED);
    CHECK_INT(c->routes[1].host.v[0].port, 465);
    CHECK_INT(c->routes[2].lmtp.v[0].port, 24);
    CHECK_STR(c->routes[2].lmtp.v[0].text, "[::1]:24");
    CHECK_INT(c->routes[2].tls, SP_CONF_RTLS_NONE);
    CHECK_INT(c->routes[3].tls, SP_CONF_RTLS_REQUIRED);
    t_round_trip(c);
    sp_conf_unref(c);
}

/* ---- the table as a parameter ---- */

TEST("a deprecated key works, and the warning says what replaces it")
{
    size_t n;
    const struct sp_conf_key *k = sp_conf_keys(&n);
    struct sp_conf_key *mine = calloc(n + 1, sizeof *mine);
    struct conf_tables t = {.keys = mine, .n_keys = n + 1};
    struct sp_conf_errors errs;
    struct sp_conf *c;

    memcpy(mine + 1, k, n * sizeof *k);
    mine[0] = k[0];
    mine[0].name = "my-name";
    mine[0].deprecated_by = "hostname";
    CHECK_STR(k[0].name, "hostname");
    sp_conf_errors_init(&errs);
    c = conf_parse_with(&t, SP_LIT("my-name = a.example\n"), "f", &errs);
    CHECK(c != NULL);
    CHECK_STR(c ? c->hostname : "", "a.example");
    CHECK_STR(errs.v[1].message, "\"my-name\" is the old name of \"hostname\"");
    CHECK_STR(errs.v[1].help, "write \"hostname\" instead");
    CHECK(errs.v[1].warning);
    sp_conf_unref(c);
    sp_conf_errors_free(&errs);
    c = conf_parse_with(&t, SP_LIT("my-name = a.example\nhostname = b.example\n"), "f",
                        &errs);
    CHECK(c == NULL);
    CHECK_INT(errs.errors, 1);
    sp_conf_errors_free(&errs);
    free(mine);
}

/* Mechanisms of later versions, as if they were there already. */
TEST("what shows the secret is refused in the clear, whatever this version knows")
{
    size_t n;
    const struct sp_conf_key *k = sp_conf_keys(&n);
    struct sp_conf_key *mine = calloc(n, sizeof *mine);
    struct sp_conf_word words[32] = {{NULL, false, false}};
    struct conf_tables t = {.keys = mine, .n_keys = n};
    struct sp_conf_errors errs;

    for (size_t i = 0; i < n; i++) {
        mine[i] = k[i];
        if (strcmp(k[i].name, "auth-clear") != 0 && strcmp(k[i].name, "auth-tls") != 0)
            continue;
        for (size_t w = 0; k[i].words[w].word && w < 31; w++)
            words[w].word = k[i].words[w].word;
        mine[i].words = words;
    }
    sp_conf_errors_init(&errs);
    CHECK(conf_parse_with(
              &t,
              SP_LIT("gssapi-keytab = /k\n"
                     "listener l {\naddress = *:587\nclient-certificates = required\n"
                     "auth-clear = OAUTHBEARER XOAUTH2 PLAIN LOGIN CRAM-MD5\n"
                     "auth-tls = GSSAPI OAUTHBEARER\n}\n"
                     "oauth main {\nkeys = /k\nissuer = i\naudience = a\n}\n"),
              "f", &errs) == NULL);
    CHECK_INT(errs.errors, 4);
    for (size_t i = 0; i < errs.n; i++)
        if (!errs.v[i].warning)
            CHECK(strstr(errs.v[i].message, "shows the secret") != NULL);
    CHECK(strstr(errs.v[errs.n - 1].message, "\"GSSAPI\" makes mutt") != NULL);
    sp_conf_errors_free(&errs);
    free(mine);
}

/* ---- errors ---- */

TEST("errors are counted when there are more than are kept, and find room behind "
     "warnings")
{
    struct sp_conf_errors errs;
    struct sp_buf text;

    sp_buf_init(&text, 1 << 20);
    for (int i = 0; i < 150; i++)
        (void)sp_buf_printf(&text, "route r%d {\nmatch = *\nto = discard\n}\n", i);
    for (int i = 0; i < 300; i++)
        (void)sp_buf_puts(&text, "nonsense = 1\n");
    sp_conf_errors_init(&errs);
    CHECK(sp_conf_parse(sp_buf_view(&text), "f", &errs) == NULL);
    CHECK_INT(errs.errors, 300);
    CHECK_INT(errs.warnings, 149);
    CHECK_INT(errs.n, SP_CONF_ERRORS_MAX);
    sp_conf_errors_free(&errs);
    sp_buf_free(&text);
}

TEST("an error finds room behind any number of warnings")
{
    struct sp_conf_errors errs;
    struct sp_buf text;
    size_t kept = 0;

    sp_buf_init(&text, 1 << 20);
    for (int i = 0; i < 250; i++)
        (void)sp_buf_printf(
            &text, "route r%d {\nmatch = d%d.example\nto = maildir\npath = /m\n}\n", i,
            i);
    (void)sp_buf_puts(
        &text, "route x {\nmatch = x.example\nto = discard\nhost = mx.example\n}\n");
    sp_conf_errors_init(&errs);
    CHECK(sp_conf_parse(sp_buf_view(&text), "f", &errs) == NULL);
    CHECK_INT(errs.errors, 1);
    CHECK_INT(errs.warnings, 250);
    for (size_t i = 0; i < errs.n; i++)
        kept += !errs.v[i].warning;
    CHECK_INT(kept, 1);
    sp_conf_errors_free(&errs);
    sp_buf_free(&text);
}

TEST("colour is only written when asked for")
{
    struct sp_conf_errors errs;

    sp_conf_errors_init(&errs);
    CHECK(sp_conf_parse(SP_LIT("x = 1\n"), "\033[31mf", &errs) == NULL);
    for (int colour = 0; colour < 2; colour++) {
        struct sp_buf out;

        sp_buf_init(&out, 10000);
        CHECK_INT(sp_conf_errors_render(&errs, &out, colour), 0);
        CHECK((memchr(out.p, '\033', out.n) != NULL) == (colour == 1));
        sp_buf_free(&out);
    }
    sp_conf_errors_free(&errs);
}

TEST("too large a file is refused, a line too long is named")
{
    struct sp_conf_errors errs;
    char *big = malloc(SP_CONF_FILE_MAX + 1), message[200];

    memset(big, '\n', SP_CONF_FILE_MAX + 1);
    sp_conf_errors_init(&errs);
    CHECK(sp_conf_parse((struct sp_str){big, SP_CONF_FILE_MAX + 1}, "f", &errs) ==
          NULL);
    CHECK_STR(errs.v[0].message,
              "the file has 4194305 octets; at most 4194304 are read");
    sp_conf_errors_free(&errs);
    memset(big, 'x', SP_CONF_LINE_MAX + 1);
    big[0] = '#';
    big[SP_CONF_LINE_MAX + 1] = '\0';
    t_bad_text(big, message, sizeof message);
    CHECK_STR(message, "this line has 4097 octets; at most 4096 are possible");
    big[SP_CONF_LINE_MAX] = '\0';
    sp_conf_unref(t_good(big));
    free(big);
}

TEST("a file that cannot be read is an error with the system's words")
{
    struct sp_conf_errors errs;

    sp_conf_errors_init(&errs);
    CHECK(sp_conf_load("/nonexistent/sallyport.conf", &errs) == NULL);
    CHECK_STR(errs.v[0].message, "cannot be opened: No such file or directory");
    CHECK_STR(errs.v[0].help, "an empty file is enough: every key has a default");
    sp_conf_errors_free(&errs);
    CHECK(sp_conf_load("/", &errs) == NULL);
    CHECK_STR(errs.v[0].message, "cannot be read: Is a directory");
    sp_conf_errors_free(&errs);
    CHECK(sp_conf_load("/dev/zero", &errs) == NULL);
    CHECK_STR(errs.v[0].message,
              "the file has 4194305 octets; at most 4194304 are read");
    sp_conf_errors_free(&errs);
}

TEST("relative paths begin at the directory of the file")
{
    static const struct {
        const char *filename, *want;
    } cases[] = {{"/a/b.conf", "/a/x"},   {"/b.conf", "/x"},       {"b.conf", "CWD/x"},
                 {"./b.conf", "CWD/./x"}, {"c/b.conf", "CWD/c/x"}, {NULL, "CWD/x"}};
    char cwd[4096], want[4200];

    CHECK(getcwd(cwd, sizeof cwd) != NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sp_conf_errors errs;
        struct sp_conf *c;
        bool rel = strncmp(cases[i].want, "CWD", 3) == 0;

        sp_conf_errors_init(&errs);
        c = sp_conf_parse(SP_LIT("data-directory = x\n"), cases[i].filename, &errs);
        (void)snprintf(want, sizeof want, "%s%s", rel ? cwd : "",
                       cases[i].want + (rel ? 3 : 0));
        CHECK_STR(c ? c->data_directory : NULL, want);
        sp_conf_unref(c);
        sp_conf_errors_free(&errs);
    }
}

TEST("a configuration lives until its last reference is gone")
{
    struct sp_conf *c = t_good("hostname = a.example\n");

    CHECK(sp_conf_ref(c) == c);
    sp_conf_unref(c);
    CHECK_STR(c->hostname, "a.example");
    sp_conf_unref(c);
    sp_conf_unref(NULL);
}

TEST("a long list is dumped on several lines and is the same list")
{
    struct sp_buf text, out;
    struct sp_conf *c;

    sp_buf_init(&text, 4 << 20);
    for (int i = 0; i < 20000; i++)
        (void)sp_buf_printf(
            &text, "local-domains = domain-%d.example other-%d.example\n", i, i);
    c = t_good(sp_buf_cstr(&text));
    CHECK_INT(c->local_domains.n, 40000);
    t_dump(c, false, &out);
    CHECK(out.n < text.n);
    t_round_trip(c);
    sp_conf_unref(c);
    sp_buf_free(&out);
    sp_buf_free(&text);
}
T_MAIN
