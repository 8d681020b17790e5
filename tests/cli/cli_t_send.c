/* cli_t_send.c - send: exit status by table, accounts.conf, msmtp's configuration. */
#include "accounts.h"
#include "alloc.h"
#include "sendexit.h"
#include "t.h"
#include "target.h"

/* ---- exit status ---- */

TEST("each way to end has its status of sysexits.h")
{
    /* By hand, from what a script wants to know: send it again (75), give up on the
     * address (67), on the message (65), on the login (77), on the server (68, 69, 76). */
    static const struct {
        enum sp_cli_stage stage;
        int code;
        enum sp_class cls;
        bool no_login;
        int status;
    } want[] = {
        {SP_STAGE_CONNECT, 0, SP_CLASS_TEMPORARY, false, 75},
        {SP_STAGE_CONNECT, 0, SP_CLASS_PEER, false, 68},
        {SP_STAGE_CONNECT, 0, SP_CLASS_BUG, false, 70},
        {SP_STAGE_GREETING, 554, SP_CLASS_PEER, false, 69},
        {SP_STAGE_GREETING, 421, SP_CLASS_TEMPORARY, false, 75},
        {SP_STAGE_EHLO, 502, SP_CLASS_PEER, false, 69},
        {SP_STAGE_EHLO, 0, SP_CLASS_PEER, false, 76},
        {SP_STAGE_STARTTLS, 0, SP_CLASS_INSECURE, false, 77},
        {SP_STAGE_STARTTLS, 454, SP_CLASS_INSECURE, false, 77},
        {SP_STAGE_HANDSHAKE, 0, SP_CLASS_INSECURE, false, 77},
        {SP_STAGE_AUTH, 535, SP_CLASS_PEER, true, 77},
        {SP_STAGE_AUTH, 454, SP_CLASS_TEMPORARY, true, 75},
        {SP_STAGE_EHLO, 0, SP_CLASS_PEER, true, 77},
        {SP_STAGE_HANDSHAKE, 421, SP_CLASS_PEER, true, 77},
        {SP_STAGE_RCPT, 550, SP_CLASS_PEER, true, 77},
        {SP_STAGE_MAIL, 530, SP_CLASS_PEER, true, 77},
        {SP_STAGE_MAIL, 550, SP_CLASS_PEER, false, 69},
        {SP_STAGE_MAIL, 452, SP_CLASS_PEER, false, 75},
        {SP_STAGE_RCPT, 550, SP_CLASS_PEER, false, 67},
        {SP_STAGE_RCPT, 450, SP_CLASS_PEER, false, 75},
        {SP_STAGE_DATA, 554, SP_CLASS_PEER, false, 65},
        {SP_STAGE_DATA, 0, SP_CLASS_TEMPORARY, false, 75},
        {SP_STAGE_DOT, 552, SP_CLASS_PEER, false, 65},
        {SP_STAGE_DOT, 451, SP_CLASS_PEER, false, 75},
        {SP_STAGE_DOT, 0, SP_CLASS_TEMPORARY, false, 75},
    };

    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        int got =
            sp_send_exit(want[i].stage, want[i].code, want[i].cls, want[i].no_login);

        if (got != want[i].status)
            printf("row %zu\n", i);
        CHECK_INT(got, want[i].status);
    }
}

/* ---- accounts ---- */

static const char good[] = "# mine\n"
                           "account default { # the usual one\n"
                           "    server = smtp://mail.example.org\r\n"
                           "    password-command = pass show \"a b\" # not this\n"
                           "    user = \"al\\\"ice # x\" # comment\n"
                           "\tkey = keys/alice.pem\n"
                           "    certificate = ~/alice.pem\n"
                           "    ca=/etc/ca.pem\n"
                           "    ipv4 = yes\n"
                           "    opportunistic = no\n"
                           "    mechanism = PLAIN\n"
                           "    mechanism = SCRAM-SHA-256\n"
                           "}\n"
                           "account work {\n"
                           "}\n";

static const char *value(const struct sp_account *acc, const char *key)
{
    for (size_t i = 0; acc && i < acc->n; i++)
        if (strcmp(acc->set[i].option->name, key) == 0)
            return acc->set[i].value ? acc->set[i].value : "on";
    return "unset";
}

TEST("values: comments, quotes, paths beside the file and below home, switches")
{
    struct sp_accounts s;
    const struct sp_account *acc;

    sp_accounts_init(&s);
    CHECK_INT(sp_accounts_parse(&s, sp_str(good), "/conf/accounts.conf", "/home/alice"),
              0);
    acc = sp_accounts_find(&s, "default");
    CHECK_STR(value(acc, "server"), "smtp://mail.example.org");
    CHECK_STR(value(acc, "password-command"), "pass show \"a b\"");
    CHECK_STR(value(acc, "user"), "al\"ice # x");
    CHECK_STR(value(acc, "key"), "/conf/keys/alice.pem");
    CHECK_STR(value(acc, "certificate"), "/home/alice/alice.pem");
    CHECK_STR(value(acc, "ca"), "/etc/ca.pem");
    CHECK_STR(value(acc, "ipv4"), "on");
    CHECK_STR(value(acc, "opportunistic"), "unset");
    CHECK_INT(acc ? acc->n : 0, 9);
    CHECK(sp_accounts_find(&s, "work") != NULL);
    CHECK(sp_accounts_find(&s, "Work") == NULL);
    sp_accounts_free(&s);
}

TEST("each mistake is found at its line and column, all of a file at once")
{
    static const struct {
        const char *text;
        unsigned line, column;
        const char *says, *help; /* parts of; help may be NULL */
    } want[] = {
        {"server = x\n", 1, 1, "outside any account", NULL},
        {"\nacount a {\n", 2, 1, "outside any account", "account"},
        {"account a\n", 1, 1, "begins no account", NULL},
        {"account {\n}\n", 1, 9, "begins no account", NULL},
        {"account a {\n  sever = x\n}\n", 2, 3, "no key \"sever\"", "server"},
        {"account a {\n  password = x\n}\n", 2, 3, "no key \"password\"",
         "password-command"},
        {"account a {\n  server x\n}\n", 2, 3, "= is missing", NULL},
        {"account a {\n  server =\n}\n", 2, 3, "value is missing", NULL},
        {"account a {\n  server = # x\n}\n", 2, 12, "value is missing", NULL},
        {"account a {\n  ipv4 = maybe\n}\n", 2, 10, "neither yes nor no", NULL},
        {"account a {\n  user = \"x\n}\n", 2, 10, "never closed", NULL},
        {"account a {\n  user = \"x\" y\n}\n", 2, 10, "behind the closing quote", NULL},
        {"account a {\n  user = x\n  user = y\n}\n", 3, 3, "twice", NULL},
        {"account a {\n}\naccount a {\n}\n", 3, 9, "already, in line 1", NULL},
        {"account a {\n", 1, 1, "never closed", NULL},
        {"account a {\n} x\n", 2, 1, "stands alone", NULL},
    };

    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        struct sp_accounts s;
        const struct sp_conf_error *e;

        sp_accounts_init(&s);
        CHECK(sp_accounts_parse(&s, sp_str(want[i].text), NULL, NULL) < 0);
        e = s.errs.n ? &s.errs.v[0] : NULL;
        if (!e || e->line != want[i].line || e->column != want[i].column)
            printf("row %zu: %u:%u %s\n", i, e ? e->line : 0, e ? e->column : 0,
                   e ? e->message : "nothing");
        CHECK(e && e->line == want[i].line && e->column == want[i].column);
        CHECK(e && strstr(e->message, want[i].says));
        CHECK(e && (!want[i].help || (e->help && strstr(e->help, want[i].help))));
        sp_accounts_free(&s);
    }
}

TEST("octets of every kind and failing allocations are survived")
{
    struct sp_accounts s;
    char noise[300];
    unsigned x = 1;

    for (int round = 0; round < 300; round++) {
        static const char some[] = "account x {}=\"\\\n\r\t #~server ipv4 \xff\x80";

        for (size_t i = 0; i < sizeof noise; i++)
            noise[i] = some[(x = x * 1103515245 + 12345, x >> 16) % sizeof some];
        sp_accounts_init(&s);
        (void)sp_accounts_parse(&s, (struct sp_str){noise, sizeof noise}, "f", NULL);
        sp_accounts_free(&s);
    }
    for (long n = 1; n < 12; n++) {
        int rc;

        sp_accounts_init(&s);
        sp_alloc_fail_at(n, 0);
        rc = sp_accounts_parse(&s, sp_str(good), "/f", "/h");
        sp_alloc_fail_at(0, 0);
        CHECK(rc < 0 || sp_accounts_find(&s, "work"));
        sp_accounts_free(&s);
    }
}

/* ---- merging ---- */

static const struct sp_option options[] = {
    SP_OPT_TARGET,
    {"from", 'f', "ADDRESS", ""},
    SP_OPT_END,
};

static void give(struct sp_args *a, const char *name, const char *v)
{
    for (const struct sp_option *o = options; o->name; o++)
        if (strcmp(o->name, name) == 0) {
            a->given[a->n_given].option = o;
            a->given[a->n_given++].value = v;
        }
}

TEST("the command line wins, and puts out what answers the same question")
{
    struct sp_accounts s;
    static struct sp_args a, m;

    sp_accounts_init(&s);
    CHECK_INT(sp_accounts_parse(&s, sp_str(good), "/f", "/h"), 0);
    CHECK_INT(sp_account_merge(sp_accounts_find(&s, "default"), &a, &m), 0);
    CHECK_STR(sp_arg(&m, "server"), "smtp://mail.example.org");
    CHECK_INT(sp_arg_count(&m, "mechanism"), 2);
    CHECK(sp_arg_given(&m, "ipv4"));

    give(&a, "user", "bob");
    give(&a, "password-file", "p");
    give(&a, "certificate", "c");
    give(&a, "server-pin", "00");
    give(&a, "mechanism", "LOGIN");
    give(&a, "ipv6", NULL);
    CHECK_INT(sp_account_merge(sp_accounts_find(&s, "default"), &a, &m), 0);
    CHECK_STR(sp_arg(&m, "user"), "bob");
    CHECK_STR(sp_arg(&m, "password-file"), "p");
    CHECK(!sp_arg_given(&m, "password-command"));
    CHECK(!sp_arg_given(&m, "key"));
    CHECK(!sp_arg_given(&m, "ca"));
    CHECK(!sp_arg_given(&m, "ipv4"));
    CHECK_INT(sp_arg_count(&m, "mechanism"), 1);
    CHECK_STR(sp_arg(&m, "server"), "smtp://mail.example.org");
    sp_accounts_free(&s);
}

/* ---- msmtp ---- */

static const struct {
    const char *msmtp, *has, *not ; /* parts of the result; may be NULL */
} imports[] = {
    {"account a\nhost h.example\ntls on\n",
     "account a {\n    server = smtp://h.example:25\n", "no TLS"},
    {"account a\nhost h.example\ntls on\nport 587\n", "smtp://h.example:587\n", NULL},
    {"account a\nhost h.example\ntls on\ntls_starttls off\n", "smtps://h.example:465\n",
     NULL},
    {"account a\nhost 2001:db8::1\ntls on\n", "smtp://[2001:db8::1]:25\n", NULL},
    {"account a\nhost h.example\n", "msmtp used no TLS here", "\n    no-tls"},
    {"account a\nprotocol lmtp\nhost /run/lmtp\n", "server = lmtp:/run/lmtp\n",
     "no TLS"},
    {"account a\nhost h\ntls_trust_file /ca\n", "    ca = /ca\n", NULL},
    {"account a\nhost h\ntls_trust_file system\n", NULL, " ca ="},
    {"account a\nhost h\ntls_cert_file /c\ntls_key_file /k\n",
     "    certificate = /c\n    key = /k\n", NULL},
    {"account a\nhost h\ntls_fingerprint 00:11\n", "no SHA-256", "server-pin ="},
    {"account a\nhost h\ntls_fingerprint "
     "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n",
     "server-pin = 0123456789abcdef", NULL},
    {"account a\nhost h\ntls_certcheck off\n", "the server is verified now",
     "insecure"},
    {"account a\nhost h\nuser me\npasswordeval \"pass show x\"\nfrom me@h.example\n",
     "    user = me\n    password-command = pass show x\n    from = me@h.example\n",
     NULL},
    {"account a\nhost h\npasswordeval printf '%s' \"a # b\"\n",
     "password-command = \"printf '%s' \\\"a # b\\\"\"\n", NULL},
    {"account a\nhost h\nuser me\npassword hunter2\n", "was not copied", "hunter2"},
    {"account a\nhost h\nauth external\n", "certificate-login = explicit\n", NULL},
    {"account a\nhost h\nauth oauthbearer\nuser me\npasswordeval \"get-token me\"\n",
     "    user = me\n    token-command = get-token me\n    mechanism = oauthbearer\n",
     "password-command"},
    {"account a\nhost h\nauth xoauth2\nuser me\npasswordeval cat /t\n",
     "    token-command = cat /t\n    mechanism = xoauth2\n", "password-command"},
    {"account a\nhost h\nauth xoauth2\nuser me\npassword ya29.secret\n",
     "token-file = FILE", "ya29"},
    {"account a\nhost h\nauth scram-sha-256\n", "mechanism = scram-sha-256\n", NULL},
    {"account a\nhost h\nauth off\nuser me\n", NULL, "user ="},
    {"account a\nhost h\nlogfile /l\n", "# logfile has no counterpart\n", NULL},
    {"defaults\nport 2525\naccount a\nhost h\n", "smtp://h:2525\n", NULL},
    {"account a\nhost h\nuser me\naccount b : a\nport 26\n",
     "account b {\n    server = smtp://h:26\n", NULL},
    {"account a\nhost h\nuser me\naccount default : a\n",
     "account default {\n    server = smtp://h:25\n", NULL},
    {"account b : nothing\nhost h\n", "names an account that is not there", NULL},
    {"host h\n", "outside any account", "server ="},
    {"# comment\n\n  account a\n\thost \"h\"\n", "smtp://h:25", NULL},
    {"account a\nhost h\naccount a\nhost other\n", "there already", "other"},
    {"account a b\nhost h\naccount a-b\nhost other\n", "there already", "other"},
    {"account a\nhost h\nproxy_host \"p\n", "socks = \"\\\"p:1080\"", NULL},
    {"account\nhost h\n", "without a name", "account  "},
    {"account a\nhost h\n\x1b[2J on\n", "# ?[2J has", "\x1b"},
    {"account a\x1b\nhost h\nproxy_host p\x1b\npassword x\n", "account a- {", "\x1b"},
};

TEST("msmtp's configuration becomes accounts, its passwords do not")
{
    for (size_t i = 0; i < sizeof imports / sizeof imports[0]; i++) {
        struct sp_buf out;
        const char *got;
        bool ok;

        sp_buf_init(&out, 1 << 20);
        CHECK_INT(sp_msmtprc_convert(sp_str(imports[i].msmtp), &out), 0);
        got = sp_buf_cstr(&out);
        ok = got && (!imports[i].has || strstr(got, imports[i].has)) &&
             (!imports[i].not || !strstr(got, imports[i].not ));
        if (!ok)
            printf("row %zu:\n%s", i, got ? got : "");
        CHECK(ok);
        sp_buf_free(&out);
    }
}

TEST("what the import prints is read without an error, and says the same")
{
    struct sp_accounts s;

    for (size_t i = 0; i < sizeof imports / sizeof imports[0]; i++) {
        struct sp_buf out;

        sp_buf_init(&out, 1 << 20);
        sp_accounts_init(&s);
        CHECK_INT(sp_msmtprc_convert(sp_str(imports[i].msmtp), &out), 0);
        CHECK_INT(sp_accounts_parse(&s, sp_buf_view(&out), "/f", "/h"), 0);
        if (strstr(imports[i].msmtp, "printf"))
            CHECK_STR(value(sp_accounts_find(&s, "a"), "password-command"),
                      "printf '%s' \"a # b\"");
        sp_accounts_free(&s);
        sp_buf_free(&out);
    }
}

T_MAIN
