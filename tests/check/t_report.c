/* t_report.c - the three reports: the same run, and nothing of the peer's gets loose. */
#include "report_i.h"

#include "alloc.h"
#include "t.h"
#include "text.h"

#include <jansson.h>

/* What a hostile server might say: HTML, terminal control, invalid UTF-8, turned text. */
#define EVIL                                                                           \
    "<script>alert(1)</script>&\"'\033[2J\x9b"                                         \
    "31m\xc2\x9bK\xff\xe2\x80\xae evil\r\n\t\x01"

static enum sp_finding_id with_fact(void)
{
    for (int i = 0; i < SP_FINDING_COUNT; i++)
        if (strstr(sp_finding_row((enum sp_finding_id)i)->sentence, "%1"))
            return (enum sp_finding_id)i;
    CHECK(!"a row with a fact");
    return (enum sp_finding_id)0;
}

static struct sp_findings *evil_run(void)
{
    struct sp_check_choice c = {.have = SP_NEEDS_STARTTLS};
    struct sp_evidence ev = {0};
    struct sp_findings *f = NULL;
    struct sp_err err;

    CHECK_INT(sp_findings_new(SP_SIDE_SERVER, &f), 0);
    CHECK_INT(sp_findings_choose(f, &c, &err), 0);
    sp_findings_fact(f, "host", SP_LIT("mail.example.org"));
    sp_findings_fact(f, "port", SP_LIT("587"));
    sp_findings_fact(f, "banner", SP_LIT(EVIL));
    sp_findings_fact(f, "product", SP_LIT(EVIL));
    sp_findings_cap(f, SP_CAPS_CLEAR, SP_LIT(EVIL));
    sp_findings_cap(f, SP_CAPS_CLEAR, SP_LIT("SIZE 1"));
    sp_findings_cap(f, SP_CAPS_TLS, SP_LIT("SIZE 1"));
    sp_ev_put(&ev, SP_EV_SERVER, "clear", SP_LIT(EVIL EVIL));
    sp_ev_put(&ev, SP_EV_CLIENT, EVIL, SP_LIT("NOOP\r\n"));
    sp_finding_add(f, with_fact(), &ev, EVIL, EVIL, EVIL);
    sp_finding_add(f, SP_F_STARTTLS_INJECTION, &ev, EVIL, EVIL, EVIL);
    sp_findings_failed(f, 69, "the server said %s", EVIL);
    sp_findings_finish(f);
    return f;
}

static struct sp_buf made(int (*make)(const struct sp_findings *,
                                      const struct sp_report_opts *, struct sp_buf *),
                          const struct sp_findings *f, bool colour)
{
    struct sp_report_opts o = {.details = true,
                               .colour = colour,
                               .version = "1",
                               .time = "2026-11-22 15:20 UTC"};
    struct sp_buf b;

    sp_buf_init(&b, SP_REPORT_MAX);
    CHECK_INT(make(f, &o, &b), 0);
    CHECK(sp_buf_cstr(&b) != NULL);
    CHECK_INT(strlen(b.p), b.n);
    CHECK(sp_utf8_valid(sp_buf_view(&b)));
    return b;
}

static void check_printable(const struct sp_buf *b)
{
    for (size_t i = 0; i < b->n; i++) {
        unsigned char c = (unsigned char)b->p[i];

        if ((c < 32 && c != '\n') || c == 127)
            t_bad++, printf("octet %zu is \\x%02x\n", i, c);
    }
    CHECK(strstr(b->p, "\xe2\x80\xae") == NULL);
    CHECK(strstr(b->p, "\xc2\x9b") == NULL);
}

TEST("nothing a server says moves the cursor or turns the text")
{
    struct sp_findings *f = evil_run();
    struct sp_buf b = made(sp_report_text, f, false);

    check_printable(&b);
    CHECK(strstr(b.p, "\\x1b[2J") != NULL);
    sp_buf_free(&b);
    sp_findings_free(f);
}

TEST("colour is ours alone")
{
    struct sp_findings *f = evil_run();
    struct sp_buf b = made(sp_report_text, f, true);

    for (const char *p = b.p; (p = strchr(p, '\033')) != NULL; p++) {
        const char *m = p + 1 + strspn(p + 1, "[0123456789;");

        CHECK(*m == 'm');
    }
    CHECK(strstr(b.p, "\033[2J") == NULL);
    sp_buf_free(&b);
    sp_findings_free(f);
}

TEST("nothing a server says becomes an element of the page")
{
    struct sp_findings *f = evil_run();
    struct sp_buf b = made(sp_report_html, f, false);

    check_printable(&b);
    CHECK(strstr(b.p, "<script") == NULL);
    CHECK(
        strstr(b.p, "&lt;script&gt;alert(1)&lt;/script&gt;&amp;&quot;&#39;\\x1b[2J") !=
        NULL);
    sp_buf_free(&b);
    sp_findings_free(f);
}

TEST("the page needs nothing from elsewhere and allows no script")
{
    struct sp_findings *f = evil_run();
    struct sp_buf b = made(sp_report_html, f, false);

    CHECK(strstr(b.p, "Content-Security-Policy\" content=\"default-src 'none'") !=
          NULL);
    CHECK(strstr(b.p, "src=") == NULL);
    CHECK(strstr(b.p, "@import") == NULL);
    CHECK(strstr(b.p, "url(") == NULL);
    CHECK(strstr(b.p, "http://") == NULL && strstr(b.p, "https://") == NULL);
    sp_buf_free(&b);
    sp_findings_free(f);
}

TEST("JSON stays JSON whatever the server says")
{
    struct sp_findings *f = evil_run();
    struct sp_buf b = made(sp_report_json, f, false);
    json_t *j = json_loadb(b.p, b.n, JSON_REJECT_DUPLICATES, NULL);
    json_t *first = json_array_get(json_object_get(j, "findings"), 0);

    CHECK(j != NULL);
    check_printable(&b);
    CHECK_STR(json_string_value(json_object_get(j, "worst")), "insecure");
    CHECK_INT(json_integer_value(json_object_get(j, "exit")), 3);
    CHECK_STR(json_string_value(json_object_get(first, "id")), "starttls-injection");
    CHECK(json_array_size(json_object_get(first, "evidence")) > 0);
    CHECK_INT(
        json_integer_value(json_object_get(json_object_get(j, "failed"), "status")),
        69);
    json_decref(j);
    sp_buf_free(&b);
    sp_findings_free(f);
}

static size_t lines(struct sp_str s, size_t *ret_longest)
{
    size_t n = 0, len = 0;

    *ret_longest = 0;
    for (size_t i = 0; i < s.n; i++) {
        len = s.p[i] == '\n' ? 0 : len + 1;
        n += s.p[i] == '\n';
        *ret_longest = len > *ret_longest ? len : *ret_longest;
    }
    return n;
}

TEST("the summary fits a screen of 80 by 24, however much was found")
{
    char fact[480];
    struct sp_report_opts o = {.version = "1"};

    for (unsigned count = 0; count < 60; count += 6) {
        struct sp_findings *f = evil_run();
        struct sp_buf b;
        size_t longest;

        for (unsigned i = 0; i < count; i++) {
            memset(fact, 'x', sizeof fact);
            snprintf(fact + 10, 12, "%u ", i);
            fact[sizeof fact - 1] = '\0';
            sp_finding_add(f, (enum sp_finding_id)(i % SP_FINDING_COUNT), NULL, fact,
                           fact, fact);
        }
        for (int r = 1; r < SP_RECIPE_COUNT; r++)
            sp_findings_recipe(f, (enum sp_recipe_id)r);
        sp_buf_init(&b, SP_REPORT_MAX);
        CHECK_INT(sp_report_text(f, &o, &b), 0);
        /* The last line is the shell's. */
        if (lines(sp_buf_view(&b), &longest) > 23 || longest > 80)
            t_bad++, printf("%zu lines of up to %zu:\n%.*s\n",
                            lines(sp_buf_view(&b), &longest), longest, (int)b.n, b.p);
        sp_buf_free(&b);
        sp_findings_free(f);
    }
}

static void check_recipe(const struct sp_findings *f, const char *program,
                         const char *recipe, const char *want)
{
    const struct sp_recipe_client *c = sp_recipe_clients();
    struct sp_buf b;

    while (strcmp(c->key, program) != 0)
        c++;
    sp_buf_init(&b, 1000);
    CHECK_INT(sp_rep_recipe(f, c, recipe, &b), 0);
    CHECK_STR(sp_buf_cstr(&b), want);
    sp_buf_free(&b);
}

TEST("a host name that a shell could take for more stays out of recipes")
{
    struct sp_findings *f = evil_run();

    check_recipe(f, "curl", "{scheme}://{host}:{port} --user {user} {x1} {",
                 "smtp://mail.example.org:587 --user USER {x1} {");
    sp_findings_fact(f, "host", SP_LIT("a;reboot"));
    sp_findings_fact(f, "user", SP_LIT("alice@example.org"));
    sp_findings_fact(f, "tls", SP_LIT("implicit"));
    check_recipe(f, "curl", "{scheme}://{host} {user}",
                 "smtps://HOST alice@example.org");
    sp_findings_fill(f, "key", "it's mine.pem");
    sp_findings_fill(f, "ca", "/etc/$(id).pem");
    check_recipe(f, "msmtp", "tls_key_file {key}",
                 "tls_key_file KEY\ntls_trust_file CA");
    sp_findings_free(f);
}

TEST("an address of IPv6 stands in brackets where a port may follow, an own authority "
     "in each")
{
    struct sp_findings *f = evil_run();

    sp_findings_fact(f, "host", SP_LIT("2001:db8::1"));
    sp_findings_fill(f, "ca", "/etc/ca.pem");
    check_recipe(f, "curl", "--url {scheme}://{host}:{port}",
                 "--url smtp://[2001:db8::1]:587 \\\n     --cacert /etc/ca.pem");
    check_recipe(f, "msmtp", "host {host}",
                 "host 2001:db8::1\ntls_trust_file /etc/ca.pem");
    check_recipe(
        f, "swaks", "swaks --server {host} {tls}",
        "swaks --server [2001:db8::1] --tls \\\n      --tls-ca-path /etc/ca.pem");
    check_recipe(f, "sallyport", "x", "x \\\n     --ca /etc/ca.pem");
    sp_findings_free(f);
}

TEST("memory that runs out ends a report with an error")
{
    for (long n = 1; n < 60; n++) {
        struct sp_findings *f = evil_run();
        struct sp_report_opts o = {.details = true, .version = "1"};
        struct sp_buf b;
        int rc;

        sp_buf_init(&b, SP_REPORT_MAX);
        sp_alloc_fail_at(n, 1);
        rc = n % 2 ? sp_report_text(f, &o, &b) : sp_report_html(f, &o, &b);
        sp_alloc_fail_at(-1, 0);
        CHECK(rc == 0 || rc == -SP_ENOMEM);
        sp_buf_free(&b);
        sp_findings_free(f);
    }
}

T_MAIN
