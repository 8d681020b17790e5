/*
 * acct_pam.c - passwords that PAM judges.
 *
 * PAM knows passwords and nothing else: whether there is such an account is not asked,
 * so the answer to FIND is `blind`.  A module may take as long as it likes: the deadline
 * is the helper's, which does not wait for the thread.  The delay after a wrong password
 * is ours (throttle.h): PAM's own would hold one of few threads.
 */
#include "acct.h"

#include "alloc.h"
#include "err.h"
#include "secret.h"

#include <security/pam_appl.h>
#include <stdlib.h>
#include <string.h>

struct pam {
    const struct sp_conf_accounts *c;
};

static void *pam_open(const struct sp_conf_accounts *c, struct sp_str secret,
                      struct sp_err *err)
{
    struct pam *p = sp_alloc(sizeof *p);

    (void)secret;
    if (!p)
        (void)sp_err_nomem(err);
    else
        p->c = c;
    return p;
}

static void pam_close(void *self)
{
    sp_free(self);
}

/* Every prompt without echo is the one for the password: there is nobody to ask more.
 * PAM frees the answers with free(). */
static int converse(int n, const struct pam_message **m, struct pam_response **ret, void *arg)
{
    const char *secret = arg;
    struct pam_response *r;

    if (n <= 0 || n > PAM_MAX_NUM_MSG)
        return PAM_CONV_ERR;
    r = calloc((size_t)n, sizeof *r);
    for (int i = 0; r && i < n; i++) {
        if (m[i]->msg_style != PAM_PROMPT_ECHO_OFF)
            continue; /* a prompt with echo gets nothing, words are not for us */
        r[i].resp = strdup(secret);
        if (!r[i].resp) {
            while (i--)
                free(r[i].resp);
            free(r);
            r = NULL;
        }
    }
    *ret = r;
    return r ? PAM_SUCCESS : PAM_BUF_ERR;
}

static void no_delay(int status, unsigned usec, void *arg)
{
    (void)status;
    (void)usec;
    (void)arg;
}

/* Ours to try again, or the user's fault? */
static enum sp_acct_status judge(pam_handle_t *h, int rc, struct sp_err *err)
{
    switch (rc) {
    case PAM_SUCCESS:
        return SP_ACCT_OK;
    case PAM_AUTH_ERR:
    case PAM_USER_UNKNOWN:
    case PAM_MAXTRIES:
    case PAM_ACCT_EXPIRED:
    case PAM_NEW_AUTHTOK_REQD:
    case PAM_PERM_DENIED:
    case PAM_CRED_EXPIRED:
    case PAM_CRED_INSUFFICIENT:
        (void)sp_err_set(err, SP_CLASS_PEER, SP_EDENIED, "PAM: %s", pam_strerror(h, rc));
        return SP_ACCT_NO;
    }
    return sp_acct_away(err, "PAM: %s", h ? pam_strerror(h, rc) : "cannot be started");
}

static enum sp_acct_status check(const struct pam *p, const char *user, char *secret,
                                 const char *host, struct sp_err *err)
{
    struct pam_conv conv = {converse, secret};
    void (*delay)(int, unsigned, void *) = no_delay;
    const void *item = NULL;
    pam_handle_t *h = NULL;
    int rc = p->c->service_directory
                 ? pam_start_confdir(p->c->service, user, &conv, p->c->service_directory, &h)
                 : pam_start(p->c->service, user, &conv, &h);
    enum sp_acct_status st;

    memcpy(&item, &delay, sizeof item);
    if (rc == PAM_SUCCESS)
        rc = pam_set_item(h, PAM_FAIL_DELAY, item);
    if (rc == PAM_SUCCESS && *host)
        rc = pam_set_item(h, PAM_RHOST, host);
    if (rc == PAM_SUCCESS)
        rc = pam_authenticate(h, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
    if (rc == PAM_SUCCESS) /* disabled and expired accounts */
        rc = pam_acct_mgmt(h, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
    st = judge(h, rc, err);
    if (h)
        (void)pam_end(h, rc);
    return st;
}

/* "alice@example.org" with domain = example.org is alice. */
static struct sp_str without_domain(const struct pam *p, struct sp_str name)
{
    size_t n = p->c->domain ? strlen(p->c->domain) : 0;

    if (n && name.n > n + 1 && name.p[name.n - n - 1] == '@' &&
        sp_str_caseis((struct sp_str){name.p + name.n - n, n}, p->c->domain))
        name.n -= n + 1;
    return name;
}

static enum sp_acct_status pam_ask(void *self, const struct sp_acct_ask *q,
                                   struct sp_acct *a, struct sp_err *err)
{
    const struct pam *p = self;
    struct sp_str name = without_domain(p, q->name);
    char *user, *secret, *host;
    enum sp_acct_status st = SP_ACCT_OK;

    if (q->what != SP_ACCT_FIND && q->what != SP_ACCT_CHECK)
        return SP_ACCT_NO;
    if (sp_acct_put(a, SP_ACCT_F_NAME, name) < 0 ||
        sp_acct_put(a, SP_ACCT_F_CHECKED, SP_LIT("yes")) < 0 ||
        sp_acct_put(a, SP_ACCT_F_BLIND, SP_LIT("yes")) < 0)
        return sp_acct_away(err, "out of memory");
    if (q->what == SP_ACCT_FIND)
        return st;
    if (q->secret.n == 0 || memchr(q->secret.p, '\0', q->secret.n))
        return SP_ACCT_NO;
    user = sp_str_dup(name);
    secret = sp_str_dup(q->secret);
    host = sp_str_dup(q->client_address);
    st = user && secret && host ? check(p, user, secret, host, err)
                                : sp_acct_away(err, "out of memory");
    if (secret)
        sp_wipe(secret, q->secret.n);
    sp_free(user);
    sp_free(secret);
    sp_free(host);
    return st;
}

const struct sp_acct_ops sp_acct_pam = {
    .can = 0,
    .open = pam_open,
    .close = pam_close,
    .ask = pam_ask,
};
