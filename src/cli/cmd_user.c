/* cmd_user.c - `sallyport user`: accounts. */
#include "acct.h"
#include "cli.h"
#include "datadir.h"
#include "err.h"
#include "users.h"
#include "verify.h"

#include <jansson.h>
#include <sallyport/smtp.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define SP_OPT_PASSWORD                                                                \
    {"password-file", 'P', "FILE", "read the password from FILE (- is standard input)"},   \
    {                                                                                  \
        "password-command", 0, "COMMAND", "read it from what COMMAND prints"               \
    }

/* What is kept for it is as good as the password to whoever reads the database. */
#define SP_OPT_CRAM                                                                    \
    {                                                                                  \
        "cram-md5", 0, NULL,                                                           \
            "also for CRAM-MD5: keeps a weak form of this password, for old clients"   \
    }

#define SP_OPT_LIMITS                                                                  \
    {"message-size", 0, "OCTETS", "largest message; 0: the listener's limit"},         \
        {"recipients", 0, "N",                                                         \
         "most recipients of a message; 0: the listener's limit"},                     \
        {"sessions", 0, "N", "most sessions at a time; 0: the listener's limit"},      \
        {"message-rate", 0, "N/m,N/h,N/d",                                             \
         "most messages a minute, hour, day; 0: the listener's limits"},               \
    {                                                                                  \
        "recipient-rate", 0, "N/m,N/h,N/d", "the same for recipients"                  \
    }

static const struct sp_option add_options[] = {
    SP_OPT_CONFIG,
    SP_OPT_DATA,
    {"address", 'a', "ADDRESS", "an own address; may be given again, the first completes mail"},
    {"grant", 'g', "PATTERN", "may send as this, too: a@b, *@domain, *-bounces@domain"},
    {"act-as", 0, "USER", "may act for this account"},
    SP_OPT_PASSWORD,
    {"no-password", 0, NULL, "no password: the account logs in by certificate"},
    SP_OPT_CRAM,
    SP_OPT_LIMITS,
    SP_OPT_END,
};
static const struct sp_option plain_options[] = {SP_OPT_CONFIG, SP_OPT_DATA, SP_OPT_END};
static const struct sp_option list_options[] = {SP_OPT_CONFIG, SP_OPT_DATA, SP_OPT_JSON,
                                                SP_OPT_END};
static const struct sp_option password_options[] = {
    SP_OPT_CONFIG, SP_OPT_DATA, SP_OPT_PASSWORD,
    {"none", 0, NULL, "take the password away: the account logs in by certificate"},
    SP_OPT_CRAM,
    {"no-cram-md5", 0, NULL, "forget what CRAM-MD5 needs; the password stays"},
    SP_OPT_END};
static const struct sp_option test_options[] = {SP_OPT_CONFIG, SP_OPT_DATA, SP_OPT_PASSWORD,
                                                SP_OPT_END};
static const struct sp_option limits_options[] = {
    SP_OPT_CONFIG, SP_OPT_DATA,
    SP_OPT_LIMITS,
    SP_OPT_END};

static const struct sp_option grant_options[] = {
    SP_OPT_CONFIG, SP_OPT_DATA,
    {"own", 0, NULL, "an own address: it can log in by it and receives certificates for it"},
    {"act-as", 0, NULL, "PATTERN is an account it may act for"},
    SP_OPT_END};

struct ctx {
    struct sp_users *u;
    struct sp_conf *conf;
    const char *dir;
    struct sp_str name;
    struct sp_buf password;
    int status;
};

static void ctx_end(struct ctx *x)
{
    sp_users_close(x->u);
    sp_conf_unref(x->conf);
    sp_buf_wipe(&x->password);
}

static const char *const type_names[] = {
    [SP_CONF_ACCTS_SQLITE] = "sqlite", [SP_CONF_ACCTS_FILE] = "file",
    [SP_CONF_ACCTS_LDAP] = "ldap",     [SP_CONF_ACCTS_PAM] = "pam",
    [SP_CONF_ACCTS_POSTGRESQL] = "postgresql", [SP_CONF_ACCTS_DOVECOT] = "dovecot",
};

/* What is written to users.db when the service does not ask it has no effect. */
static void say_elsewhere(const struct sp_conf *c)
{
    const struct sp_conf_accounts *first = NULL;

    for (size_t i = 0; c && i < c->n_accounts; i++) {
        if (c->accounts[i].type == SP_CONF_ACCTS_SQLITE || c->accounts[i].local_rights)
            return;
        first = first ? first : &c->accounts[i];
    }
    if (first)
        fprintf(stderr,
                "sallyport: note: this changes users.db, which the service does not ask: accounts are "
                "kept in accounts %s (%s)%s, and are changed there\n",
                first->head.name, type_names[first->type], c->n_accounts > 1 ? " and others" : "");
}

static int open_db(const struct sp_args *a, struct ctx *x, enum sp_users_mode mode)
{
    char path[4096];
    struct sp_err err;

    sp_conf_unref(x->conf); /* first_address() may have read it */
    x->dir = sp_data_dir(a, &x->conf, &x->status);
    if (!x->dir)
        return x->status;
    (void)sp_data_path(path, sizeof path, x->dir, SP_DATA_USERS, "users.db");
    if (sp_become_keeper(x->dir, SP_DATA_USERS, &err) < 0 ||
        sp_users_open(path, mode, &x->u, &err) < 0) {
        x->status = sp_fail_err(&err);
        return x->status;
    }
    if (mode == SP_USERS_WRITE)
        say_elsewhere(x->conf);
    return 0;
}

static int begin(const struct sp_args *a, struct ctx *x, size_t words)
{
    memset(x, 0, sizeof *x);
    if (a->n_rest != words)
        return sp_usage_error(a, "%s", a->n_rest < words ? "something is missing"
                                                          : "too many words");
    if (words)
        x->name = sp_str(a->rest[0]);
    return 0;
}

static int done(struct ctx *x, int rc, const struct sp_err *err)
{
    int status = rc < 0 ? sp_fail_err(err) : 0;

    ctx_end(x);
    return status;
}

static int number(const struct sp_args *a, const char *name, uint64_t max, uint64_t *ret)
{
    const char *s = sp_arg(a, name);

    *ret = 0;
    if (!s || sp_str_u64(sp_str(s), max, ret) == 0)
        return 0;
    return sp_usage_error(a, "--%s wants a number of at most %llu, not `%s`", name,
                          (unsigned long long)max, s);
}

/* "30/m,500/h" in the place of what was there; "0" takes all of them away. */
static int rates(const struct sp_args *a, const char *name, uint32_t *ret)
{
    const char *text = sp_arg(a, name);
    struct sp_str rest = sp_str(text ? text : "");

    if (!text)
        return 0;
    memset(ret, 0, SP_RATE_PERIODS * sizeof *ret);
    if (sp_str_is(rest, "0"))
        return 0;
    do {
        struct sp_rate r;

        if (sp_rate_parse(sp_str_cut(&rest, ','), &r) < 0 || ret[r.period])
            return sp_usage_error(
                a, "--%s wants rates like 30/m,500/h,2000/d, or 0, not `%s`", name, text);
        ret[r.period] = (uint32_t)r.n;
    } while (rest.p);
    return 0;
}

/* What is not named stays as it is. */
static int read_limits(const struct sp_args *a, struct sp_user_limits *l)
{
    static const char *const names[] = {"message-size", "recipients", "sessions"};
    static const uint64_t most[] = {UINT64_MAX / 2, 1000000, 1000000};
    uint64_t n[3];

    for (size_t i = 0; i < 3; i++) {
        int rc = number(a, names[i], most[i], &n[i]);

        if (rc)
            return rc;
    }
    if (sp_arg_given(a, names[0]))
        l->message_size_max = n[0];
    if (sp_arg_given(a, names[1]))
        l->recipients_max = (uint32_t)n[1];
    if (sp_arg_given(a, names[2]))
        l->sessions_max = (uint32_t)n[2];
    if (rates(a, "message-rate", l->rates.n[SP_RATE_MESSAGES]))
        return 64;
    return rates(a, "recipient-rate", l->rates.n[SP_RATE_RECIPIENTS]);
}

static bool limits_given(const struct sp_args *a)
{
    static const char *const names[] = {"message-size", "recipients", "sessions",
                                        "message-rate", "recipient-rate"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (sp_arg_given(a, names[i]))
            return true;
    return false;
}

static int add_rights(const struct sp_args *a, struct ctx *x, struct sp_err *err)
{
    int rc = 0;

    for (size_t i = 1; rc == 0 && i < sp_arg_count(a, "address"); i++)
        rc = sp_users_grant(x->u, x->name, sp_str(sp_arg_nth(a, "address", i)), true, err);
    for (size_t i = 0; rc == 0 && i < sp_arg_count(a, "grant"); i++)
        rc = sp_users_grant(x->u, x->name, sp_str(sp_arg_nth(a, "grant", i)), false, err);
    for (size_t i = 0; rc == 0 && i < sp_arg_count(a, "act-as"); i++)
        rc = sp_users_act_as(x->u, x->name, sp_str(sp_arg_nth(a, "act-as", i)), true, err);
    return rc;
}

/* An account without an address could not send anything. */
static const char *first_address(const struct sp_args *a, struct ctx *x, char *room,
                                 size_t cap)
{
    if (sp_arg_count(a, "address"))
        return sp_arg_nth(a, "address", 0);
    if (memchr(x->name.p, '@', x->name.n))
        return x->name.p;
    if (!x->conf) {
        x->conf = sp_load_conf(a, false, &x->status);
        if (!x->conf)
            return NULL;
    }
    snprintf(room, cap, "%s@%s", x->name.p, x->conf->hostname);
    return room;
}

static int run_add(const struct sp_args *a)
{
    struct ctx x;
    char room[600];
    const char *first;
    struct sp_user_limits limits = {0};
    struct sp_err err;
    int rc = begin(a, &x, 1);

    if (rc || (rc = read_limits(a, &limits)))
        return rc;
    if (!sp_arg_given(a, "no-password") &&
        sp_read_secret(a, "password-file", "password-command", "SALLYPORT_PASSWORD",
                       "Password of the new account", &x.password, &err) < 0)
        return done(&x, -1, &err);
    first = first_address(a, &x, room, sizeof room);
    if (!first || open_db(a, &x, SP_USERS_WRITE) != 0) {
        ctx_end(&x);
        return x.status;
    }
    rc = sp_users_add(x.u, x.name, sp_str(first), &err);
    if (rc < 0)
        return done(&x, rc, &err);
    rc = add_rights(a, &x, &err);
    if (rc == 0 && limits_given(a))
        rc = sp_users_limits(x.u, x.name, &limits, &err);
    if (rc == 0 && !sp_arg_given(a, "no-password"))
        rc = sp_users_set_password(x.u, x.name, sp_buf_view(&x.password), 0, &err);
    if (rc == 0 && sp_arg_given(a, "cram-md5") && !sp_arg_given(a, "no-password"))
        rc = sp_users_set_cram(x.u, x.name, sp_buf_view(&x.password), &err);
    if (rc < 0)
        (void)sp_users_remove(x.u, x.name, NULL); /* no half-made account */
    else
        printf("added %s <%s>\n", x.name.p, first);
    return done(&x, rc, &err);
}

static int run_password(const struct sp_args *a)
{
    struct ctx x;
    struct sp_err err;
    int rc = begin(a, &x, 1);

    if (rc)
        return rc;
    if (!sp_arg_given(a, "none") && !sp_arg_given(a, "no-cram-md5") &&
        sp_read_secret(a, "password-file", "password-command", "SALLYPORT_PASSWORD",
                       "New password", &x.password, &err) < 0)
        return done(&x, -1, &err);
    if (open_db(a, &x, SP_USERS_WRITE) != 0) {
        ctx_end(&x);
        return x.status;
    }
    if (sp_arg_given(a, "none"))
        rc = sp_users_no_password(x.u, x.name, &err);
    else if (sp_arg_given(a, "no-cram-md5"))
        rc = sp_users_set_cram(x.u, x.name, (struct sp_str){0}, &err);
    else
        rc = sp_users_set_password(x.u, x.name, sp_buf_view(&x.password), 0, &err);
    if (rc == 0 && x.password.n && sp_arg_given(a, "cram-md5"))
        rc = sp_users_set_cram(x.u, x.name, sp_buf_view(&x.password), &err);
    return done(&x, rc, &err);
}

/* enable, disable, remove */
static int simple(const struct sp_args *a, int (*fn)(struct ctx *x, struct sp_err *err))
{
    struct ctx x;
    struct sp_err err;
    int rc = begin(a, &x, 1);

    if (rc)
        return rc;
    if (open_db(a, &x, SP_USERS_WRITE) != 0) {
        ctx_end(&x);
        return x.status;
    }
    rc = fn(&x, &err);
    return done(&x, rc, &err);
}

static int do_enable(struct ctx *x, struct sp_err *err)
{
    return sp_users_enable(x->u, x->name, true, err);
}

static int do_disable(struct ctx *x, struct sp_err *err)
{
    return sp_users_enable(x->u, x->name, false, err);
}

static int do_remove(struct ctx *x, struct sp_err *err)
{
    return sp_users_remove(x->u, x->name, err);
}

static int run_enable(const struct sp_args *a)
{
    return simple(a, do_enable);
}

static int run_disable(const struct sp_args *a)
{
    return simple(a, do_disable);
}

static int run_remove(const struct sp_args *a)
{
    return simple(a, do_remove);
}

static int rights(const struct sp_args *a, bool give)
{
    struct ctx x;
    struct sp_err err;
    struct sp_str what;
    int rc = begin(a, &x, 2);

    if (rc)
        return rc;
    what = sp_str(a->rest[1]);
    if (open_db(a, &x, SP_USERS_WRITE) != 0) {
        ctx_end(&x);
        return x.status;
    }
    if (sp_arg_given(a, "act-as"))
        rc = sp_users_act_as(x.u, x.name, what, give, &err);
    else if (give)
        rc = sp_users_grant(x.u, x.name, what, sp_arg_given(a, "own"), &err);
    else
        rc = sp_users_revoke(x.u, x.name, what, &err);
    return done(&x, rc, &err);
}

static int run_grant(const struct sp_args *a)
{
    return rights(a, true);
}

static int run_revoke(const struct sp_args *a)
{
    return rights(a, false);
}

/* What is not named stays as it is. */
static int run_limits(const struct sp_args *a)
{
    struct ctx x;
    struct sp_err err;
    struct sp_user *u = NULL;
    struct sp_user_limits limits = {0};
    int rc = begin(a, &x, 1);

    if (rc || (rc = read_limits(a, &limits)))
        return rc;
    if (!limits_given(a))
        return sp_usage_error(a, "give --message-size, --recipients, --sessions, "
                                 "--message-rate or --recipient-rate");
    if (open_db(a, &x, SP_USERS_WRITE) != 0) {
        ctx_end(&x);
        return x.status;
    }
    rc = sp_users_get(x.u, x.name, &u, &err);
    if (rc == 0) {
        limits = u->limits;
        (void)read_limits(a, &limits);
        rc = sp_users_limits(x.u, x.name, &limits, &err);
    }
    sp_user_free(u);
    return done(&x, rc, &err);
}

/* A name that is none of ours would keep everybody out without a word. */
static int run_mechanisms(const struct sp_args *a)
{
    char text[SP_USER_MECHS_MAX + 1] = "";
    struct ctx x;
    struct sp_err err;
    size_t n = 0;
    bool any = a->n_rest == 2 && strcmp(a->rest[1], "any") == 0;
    int rc;

    memset(&x, 0, sizeof x);
    if (a->n_rest < 2)
        return sp_usage_error(a, "name the mechanisms, or say any");
    for (size_t i = 1; !any && i < a->n_rest; i++) {
        int m = sp_mech_by_name(sp_str(a->rest[i]));

        if (m < 0)
            return sp_usage_error(a, "`%s` is no mechanism of this server", a->rest[i]);
        rc = snprintf(text + n, sizeof text - n, "%s ", sp_mech_name((enum sp_mech)m));
        if ((size_t)rc >= sizeof text - n)
            return sp_usage_error(a, "too many mechanisms");
        n += (size_t)rc;
    }
    x.name = sp_str(a->rest[0]);
    if (open_db(a, &x, SP_USERS_WRITE) != 0) {
        ctx_end(&x);
        return x.status;
    }
    rc = sp_users_mechanisms(x.u, x.name, (struct sp_str){text, n}, &err);
    return done(&x, rc, &err);
}

/* ---- looking ---- */

static json_t *strings(const char **v, size_t n)
{
    json_t *j = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(j, json_string(v[i]));
    return j;
}

static json_t *words(const char *text)
{
    struct sp_str rest = sp_str(text);
    json_t *j = json_array();

    while (rest.n) {
        struct sp_str w = sp_str_cut(&rest, ' ');

        if (w.n)
            json_array_append_new(j, json_stringn(w.p, w.n));
    }
    return j;
}

static json_t *rate_list(const uint32_t *n)
{
    json_t *j = json_array();

    for (int p = 0; p < SP_RATE_PERIODS; p++)
        if (n[p])
            json_array_append_new(
                j, json_sprintf("%u/%c", n[p], sp_rate_letter((enum sp_rate_period)p)));
    return j;
}

static int put_json(void *arg, const struct sp_user *u)
{
    json_t *j = json_pack(
        "{s:s,s:b,s:b,s:b,s:s,s:o,s:o,s:o,s:o,s:I,s:I,s:I,s:o,s:o}", "name", u->name, "enabled", (int)u->enabled,
        "password", (int)u->has_password, "cram_md5", (int)u->has_cram, "first_address", u->first_address, "addresses",
        strings(u->address, u->addresses), "act_as", strings(u->act_as, u->act_as_count),
        "pins", strings(u->pin, u->pins), "mechanisms", words(u->mechanisms), "message_size_max",
        (json_int_t)u->limits.message_size_max, "recipients_max",
        (json_int_t)u->limits.recipients_max, "sessions_max",
        (json_int_t)u->limits.sessions_max, "message_rate",
        rate_list(u->limits.rates.n[SP_RATE_MESSAGES]), "recipient_rate",
        rate_list(u->limits.rates.n[SP_RATE_RECIPIENTS]));

    (void)arg;
    json_dumpf(j, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(j);
    return 0;
}

static int put_line(void *arg, const struct sp_user *u)
{
    (void)arg;
    printf("%-20s %-9s %-12s %s", u->name, u->enabled ? "enabled" : "disabled",
           u->has_cram       ? "password+md5"
           : u->has_password ? "password"
                             : "certificate",
           u->first_address);
    if (u->addresses > 1)
        printf(" and %zu more", u->addresses - 1);
    putchar('\n');
    return 0;
}

/* Pins and mappings of one account. */
struct of {
    const char *user;
};

static int put_certificate(void *arg, const struct sp_users_certificate *c)
{
    static const char *const kind[] = {
        [SP_USERS_BY_PIN] = "pin", [SP_USERS_BY_URI] = "URI", [SP_USERS_BY_DN] = "DN"};
    struct of *of = arg;

    if (strcmp(c->user, of->user) != 0 || c->key > SP_USERS_BY_DN || !kind[c->key])
        return 0;
    printf("certificate by %s ", kind[c->key]);
    sp_say_text(stdout, sp_str(c->value));
    printf("%s", *c->second ? c->key == SP_USERS_BY_DN ? " issued by " : " of " : "");
    sp_say_text(stdout, sp_str(c->second));
    putchar('\n');
    return 0;
}

static void show_limits(const struct sp_user_limits *l)
{
    if (l->message_size_max)
        printf("largest     %llu octets\n", (unsigned long long)l->message_size_max);
    if (l->recipients_max)
        printf("recipients  %u a message\n", l->recipients_max);
    if (l->sessions_max)
        printf("sessions    %u at a time\n", l->sessions_max);
    for (int w = 0; w < SP_RATE_WHATS; w++)
        for (int p = 0; p < SP_RATE_PERIODS; p++)
            if (l->rates.n[w][p])
                printf("%s  %u %s\n", w == SP_RATE_MESSAGES ? "messages  " : "recipients",
                       l->rates.n[w][p], sp_rate_name((enum sp_rate_period)p));
}

static void show(const struct sp_user *u)
{
    printf("account     %s\nstate       %s\npassword    %s\n", u->name,
           u->enabled ? "enabled" : "disabled",
           u->has_cram       ? "set, also for CRAM-MD5"
           : u->has_password ? "set"
                             : "none: logs in by certificate");
    for (size_t i = 0; i < u->addresses; i++)
        printf("%s %s\n", i < u->own_addresses ? "address    " : "may send as", u->address[i]);
    for (size_t i = 0; i < u->act_as_count; i++)
        printf("may act as  %s\n", u->act_as[i]);
    if (*u->mechanisms)
        printf("logs in by  %s\n", u->mechanisms);
    show_limits(&u->limits);
}

/* ---- accounts sections ---- */

static int open_section(const struct sp_conf_accounts *c, struct sp_acct_conn **ret,
                        struct sp_err *err)
{
    struct sp_buf secret;
    struct sp_str rest;
    int rc = 0;

    sp_buf_init(&secret, 65536);
    if (c->password_file)
        rc = sp_read_file(c->password_file, 65536, &secret, err);
    rest = sp_buf_view(&secret);
    if (rc == 0)
        rc = sp_acct_open(c, sp_str_cut(&rest, '\n'), ret, err);
    sp_buf_wipe(&secret);
    return rc;
}

static enum sp_acct_status ask_section(const struct sp_conf_accounts *c,
                                       const struct sp_acct_ask *q, struct sp_acct *a,
                                       struct sp_err *err)
{
    struct sp_acct_conn *conn;
    enum sp_acct_status st;

    if (open_section(c, &conn, err) < 0)
        return SP_ACCT_AWAY;
    st = sp_acct_ask(conn, q, a, err);
    sp_acct_close(conn);
    return st;
}

struct found {
    const struct sp_conf_accounts *in; /* NULL: users.db without any section */
    struct sp_user *user;
};

/* As the service does: the first that knows the name.  SP_ACCT_AWAY ends the search. */
static enum sp_acct_status find_in(struct ctx *x, const struct sp_conf_accounts *c,
                                   struct sp_str name, struct sp_user **ret, struct sp_err *err)
{
    char canonical[SP_ADDRESS_MAX + 1];
    int n = sp_acct_name(name, canonical, sizeof canonical), rc;
    struct sp_acct answer;
    enum sp_acct_status st;

    if (!c || c->type == SP_CONF_ACCTS_SQLITE) {
        rc = sp_users_find(x->u, name, ret, err);
        return rc == 0 ? SP_ACCT_OK : rc == -SP_ENOENT ? SP_ACCT_NO : SP_ACCT_AWAY;
    }
    if (n < 0) {
        (void)sp_err_set(err, SP_CLASS_PEER, SP_ENOENT, "no account can have this name");
        return SP_ACCT_NO;
    }
    sp_acct_init(&answer);
    st = ask_section(c,
                     &(struct sp_acct_ask){.what = SP_ACCT_FIND,
                                           .name = {canonical, (size_t)n}},
                     &answer, err);
    if (st == SP_ACCT_OK &&
        sp_acct_user(&answer, (struct sp_str){canonical, (size_t)n}, c->domain, ret, err) < 0)
        st = SP_ACCT_NO;
    sp_acct_reset(&answer);
    return st;
}

static enum sp_acct_status find(struct ctx *x, struct sp_str name, struct found *f,
                                struct sp_err *err)
{
    size_t n = x->conf ? x->conf->n_accounts : 0;
    enum sp_acct_status st = SP_ACCT_NO;

    memset(f, 0, sizeof *f);
    if (n == 0)
        return find_in(x, NULL, name, &f->user, err);
    for (size_t i = 0; i < n && st == SP_ACCT_NO; i++) {
        f->in = &x->conf->accounts[i];
        st = find_in(x, f->in, name, &f->user, err);
    }
    if (st == SP_ACCT_NO)
        (void)sp_err_set(err, SP_CLASS_PEER, SP_ENOENT, "there is no account %.*s",
                         (int)name.n, name.p);
    return st;
}

struct listing {
    const struct sp_conf_accounts *in;
    int (*put)(void *arg, const struct sp_user *u);
};

static int list_acct(void *arg, const struct sp_acct *a)
{
    const struct listing *l = arg;
    struct sp_user *u;

    if (sp_acct_user(a, (struct sp_str){"", 0}, l->in->domain, &u, NULL) < 0)
        return 0;
    (void)l->put(NULL, u);
    sp_user_free(u);
    return 0;
}

static int list_section(struct ctx *x, const struct sp_conf_accounts *c, bool json,
                        struct sp_err *err)
{
    struct listing l = {c, json ? put_json : put_line};
    struct sp_acct_conn *conn;
    int rc;

    if (c->type == SP_CONF_ACCTS_SQLITE)
        return sp_users_list(x->u, l.put, NULL, err);
    if (!(sp_acct_can(c) & SP_ACCT_CAN_LIST)) {
        fprintf(stderr,
                "sallyport: note: accounts %s (%s) cannot be listed; `sallyport user list NAME` "
                "%s\n",
                c->head.name, type_names[c->type],
                sp_acct_can(c) & SP_ACCT_CAN_FIND
                    ? "looks one up"
                    : "tells nothing either: it knows passwords only");
        return 0;
    }
    rc = open_section(c, &conn, err);
    if (rc == 0) {
        rc = sp_acct_list(conn, list_acct, &l, err);
        sp_acct_close(conn);
    }
    return rc;
}

static int list_all(struct ctx *x, bool json, struct sp_err *err)
{
    size_t n = x->conf ? x->conf->n_accounts : 0;
    int rc = 0;

    if (n == 0)
        return sp_users_list(x->u, json ? put_json : put_line, NULL, err);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = list_section(x, &x->conf->accounts[i], json, err);
    return rc;
}

static int show_found(struct ctx *x, const struct found *f, bool json, struct sp_err *err)
{
    struct of of = {.user = f->user->name};
    bool db = !f->in || f->in->type == SP_CONF_ACCTS_SQLITE;

    if (json)
        return put_json(NULL, f->user);
    if (f->in)
        printf("kept in     accounts %s (%s)\n", f->in->head.name, type_names[f->in->type]);
    if (f->user->blind)
        printf("            which knows passwords only: whether there is such an account, "
               "nobody can tell\n");
    show(f->user);
    for (size_t i = 0; !db && i < f->user->pins; i++)
        printf("certificate by pin %s\n", f->user->pin[i]);
    return db || f->in->local_rights ? sp_users_certificates(x->u, put_certificate, &of, err)
                                     : 0;
}

static int run_list(const struct sp_args *a)
{
    struct ctx x;
    struct sp_err err;
    struct found f = {0};
    enum sp_acct_status st;
    int rc;

    memset(&x, 0, sizeof x);
    if (open_db(a, &x, SP_USERS_READ) != 0) {
        ctx_end(&x);
        return x.status;
    }
    if (a->n_rest == 0)
        return done(&x, list_all(&x, sp_arg_given(a, "json"), &err), &err);
    st = find(&x, sp_str(a->rest[0]), &f, &err);
    rc = st == SP_ACCT_OK ? show_found(&x, &f, sp_arg_given(a, "json"), &err) : -SP_EIO;
    sp_user_free(f.user);
    return done(&x, rc, &err);
}

static int run_show(const struct sp_args *a)
{
    struct ctx x;
    int rc = begin(a, &x, 1);

    return rc ? rc : run_list(a);
}

/* ---- would this password log in? ---- */

static enum sp_acct_status judge_password(struct ctx *x, const struct found *f,
                                          struct sp_err *err)
{
    struct sp_str secret = sp_buf_view(&x->password);
    char canonical[SP_ADDRESS_MAX + 1];
    struct sp_acct answer;
    enum sp_acct_status st;
    int n;

    if (!f->user->enabled) {
        (void)sp_err_set(err, SP_CLASS_PEER, SP_EDENIED, "the account is disabled");
        return SP_ACCT_NO;
    }
    (void)sp_err_set(err, SP_CLASS_PEER, SP_EDENIED, "the password is wrong");
    if (!f->user->checked) {
        if (f->user->crypt)
            return sp_password_check(f->user->crypt, secret) == 1 ? SP_ACCT_OK : SP_ACCT_NO;
        for (int h = 0; h < 2; h++)
            if (f->user->has_scram[h])
                return sp_scram_check(&f->user->scram[h], secret) == 1 ? SP_ACCT_OK : SP_ACCT_NO;
        (void)sp_err_set(err, SP_CLASS_PEER, SP_EDENIED, "the account has no password");
        return SP_ACCT_NO;
    }
    n = sp_acct_name(x->name, canonical, sizeof canonical);
    sp_acct_init(&answer);
    st = ask_section(f->in,
                     &(struct sp_acct_ask){.what = SP_ACCT_CHECK,
                                           .name = {canonical, n > 0 ? (size_t)n : 0},
                                           .secret = secret},
                     &answer, err);
    sp_acct_reset(&answer);
    return st;
}

static int run_test(const struct sp_args *a)
{
    static const int status[] = {
        [SP_ACCT_OK] = 0, [SP_ACCT_NO] = EX_NOPERM, [SP_ACCT_AWAY] = EX_TEMPFAIL};
    struct ctx x;
    struct sp_err err = {0};
    struct found f = {0};
    enum sp_acct_status st;
    int rc = begin(a, &x, 1);

    if (rc)
        return rc;
    if (sp_read_secret(a, "password-file", "password-command", "SALLYPORT_PASSWORD", "Password",
                       &x.password, &err) < 0)
        return done(&x, -1, &err);
    if (open_db(a, &x, SP_USERS_READ) != 0) {
        ctx_end(&x);
        return x.status;
    }
    st = find(&x, x.name, &f, &err);
    rc = st == SP_ACCT_NO ? EX_NOUSER : status[st];
    if (st == SP_ACCT_OK) {
        st = judge_password(&x, &f, &err);
        rc = status[st == SP_ACCT_MORE ? SP_ACCT_AWAY : st];
    }
    if (st == SP_ACCT_OK)
        printf("the password of %s is right%s%s\n", f.user->name, f.in ? ": accounts " : "",
               f.in ? f.in->head.name : "");
    else
        (void)sp_fail_err(&err);
    sp_user_free(f.user);
    ctx_end(&x);
    return rc;
}

#define USER_SUB(id, n, s, u, o, r)                                                    \
    static const struct sp_command id = {.name = n, .summary = s, .usage = u, .options = o, \
                                         .run = r}
USER_SUB(c_add, "add", "make an account", "NAME [--address ADDRESS] [OPTION ...]",
         add_options, run_add);
USER_SUB(c_password, "password", "set or remove a password", "NAME [OPTION ...]",
         password_options, run_password);
USER_SUB(c_grant, "grant", "let an account send as an address or act for another",
         "NAME PATTERN [--own | --act-as]", grant_options, run_grant);
USER_SUB(c_revoke, "revoke", "take such a right back", "NAME PATTERN [--act-as]",
         grant_options, run_revoke);
USER_SUB(c_limits, "limits", "change how much an account may send",
         "NAME [--message-size OCTETS] [--recipients N] [--message-rate N/h] ...", limits_options, run_limits);
USER_SUB(c_mechanisms, "mechanisms", "the only ones that are strong enough for an account",
         "NAME MECHANISM ... | NAME any", plain_options, run_mechanisms);
USER_SUB(c_disable, "disable", "refuse its logins, live sessions too", "NAME", plain_options,
         run_disable);
USER_SUB(c_enable, "enable", "allow its logins again", "NAME", plain_options, run_enable);
USER_SUB(c_remove, "remove", "forget the account", "NAME", plain_options, run_remove);
USER_SUB(c_list, "list", "all accounts, or one with all its rights", "[NAME] [--json]",
         list_options, run_list);
USER_SUB(c_show, "show", "one account with all its rights, and where it is kept", "NAME [--json]",
         list_options, run_show);
USER_SUB(c_test, "test", "would this password log in? asks as the service does", "NAME [OPTION ...]",
         test_options, run_test);

static const struct sp_command *const subs[] = {&c_add,    &c_password, &c_grant,
                                                &c_revoke, &c_limits,   &c_mechanisms,
                                                &c_disable, &c_enable,  &c_remove,
                                                &c_list,   &c_show,    &c_test,
                                                &sp_cmd_user_setup, NULL};

const struct sp_command sp_cmd_user = {
    .name = "user", .summary = "accounts: add, password, rights, list", .sub = subs};
