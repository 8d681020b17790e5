/* introspect.c - see introspect.h. */
#include "introspect.h"

#include "alloc.h"
#include "buf.h"
#include "err.h"
#include "https.h"
#include "secret.h"
#include "token.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

enum { FORM_MAX = 4 * SP_TOKEN_MAX, LOGIN_MAX = 4096 };

struct question {
    sp_introspect_answered *answered;
    void *arg;
};

struct sp_introspect {
    struct sp_https *https;
};

struct sp_introspect *sp_introspect_new(uv_loop_t *loop)
{
    struct sp_introspect *x = sp_alloc(sizeof *x);

    if (!x || !(x->https = sp_https_new(loop))) {
        sp_free(x);
        return NULL;
    }
    return x;
}

void sp_introspect_free(struct sp_introspect *x)
{
    if (!x)
        return;
    sp_https_free(x->https);
    sp_free(x);
}

static void on_answer(void *arg, const struct sp_https_answer *a)
{
    struct question q = *(struct question *)arg;
    char why[300];

    sp_free(arg);
    if (!a->why[0] && a->status == 200) {
        q.answered(q.arg, a->body, "");
        return;
    }
    if (a->why[0])
        snprintf(why, sizeof why, "introspection: %.200s", a->why);
    else
        snprintf(why, sizeof why, "the introspection endpoint answers %ld", a->status);
    q.answered(q.arg, (struct sp_str){NULL, 0}, why);
}

/* ---- asking ---- */

static int put_form(struct sp_buf *b, const char *name, struct sp_str value)
{
    char *escaped = curl_easy_escape(NULL, value.p, (int)value.n);
    int rc = escaped ? sp_buf_printf(b, "%s%s=", b->n ? "&" : "", name) : -SP_ENOMEM;

    if (rc == 0)
        rc = sp_buf_puts(b, escaped);
    if (escaped)
        sp_wipe(escaped, strlen(escaped));
    curl_free(escaped);
    return rc;
}

/* RFC 6749 2.3.1: name and secret are form-encoded before they become a Basic login. */
static int put_login(struct sp_buf *b, const struct sp_endpoint *e)
{
    char *name = curl_easy_escape(NULL, e->client_id, (int)strlen(e->client_id));
    char *secret =
        curl_easy_escape(NULL, e->secret.n ? e->secret.p : "", (int)e->secret.n);
    int rc = name && secret ? sp_buf_printf(b, "%s:%s", name, secret) : -SP_ENOMEM;

    if (secret)
        sp_wipe(secret, strlen(secret));
    curl_free(name);
    curl_free(secret);
    return rc < 0 || !sp_buf_cstr(b) ? -SP_ENOMEM : 0;
}

int sp_introspect_ask(struct sp_introspect *x, const struct sp_endpoint *e,
                      struct sp_str token, sp_introspect_answered *answered, void *arg,
                      struct sp_err *err)
{
    struct question *q = sp_alloc(sizeof *q);
    struct sp_https_opts o = {.url = e->url,
                              .clear_allowed =
                                  true, /* the configuration: loopback only */
                              .ca = e->ca,
                              .timeout_ms = e->timeout_ms,
                              .max = SP_TOKEN_ANSWER_MAX,
                              .accept = "application/json",
                              .post = true};
    struct sp_buf form, login;
    bool ok = false;

    sp_buf_init(&form, FORM_MAX);
    sp_buf_init(&login, LOGIN_MAX);
    (void)sp_err_nomem(err);
    if (q && put_form(&form, "token", token) == 0 &&
        put_form(&form, "token_type_hint", (struct sp_str){"access_token", 12}) == 0 &&
        (!e->client_id || put_login(&login, e) == 0)) {
        *q = (struct question){answered, arg};
        o.form = sp_buf_view(&form);
        o.login = e->client_id ? login.p : NULL;
        ok = sp_https_start(x->https, &o, on_answer, q, err) != NULL;
    }
    sp_buf_wipe(&form);
    sp_buf_wipe(&login);
    if (!ok)
        sp_free(q);
    return ok ? 0 : -(int)err->code;
}
