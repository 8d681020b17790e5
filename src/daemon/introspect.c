/* introspect.c - see introspect.h. */
#include "introspect.h"

#include "alloc.h"
#include "buf.h"
#include "err.h"
#include "secret.h"
#include "token.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

struct question {
    struct question *next;
    struct sp_introspect *x;
    CURL *easy;
    struct curl_slist *headers;
    struct sp_buf form, secret, ca, body;
    bool too_large;
    char words[CURL_ERROR_SIZE];
    sp_introspect_answered *answered;
    void *arg;
};

struct sp_introspect {
    uv_loop_t *loop;
    CURLM *multi;
    uv_timer_t timer;
    struct question *first;
    size_t n;
};

/* One of curl's sockets. */
struct watched {
    uv_poll_t poll;
    struct sp_introspect *x;
    curl_socket_t fd;
};

/* ---- one question ---- */

static void question_free(struct question *q)
{
    for (struct question **at = &q->x->first; *at; at = &(*at)->next)
        if (*at == q) {
            *at = q->next;
            q->x->n--;
            break;
        }
    if (q->easy) {
        curl_multi_remove_handle(q->x->multi, q->easy);
        curl_easy_cleanup(q->easy);
    }
    curl_slist_free_all(q->headers);
    sp_buf_wipe(&q->form);
    sp_buf_wipe(&q->secret);
    sp_buf_wipe(&q->ca);
    sp_buf_wipe(&q->body);
    sp_free(q);
}

static size_t got(char *p, size_t size, size_t n, void *arg)
{
    struct question *q = arg;

    if (sp_buf_put(&q->body, p, size * n) == 0)
        return size * n;
    q->too_large = true;
    return 0; /* ends the transfer */
}

static void finished(struct question *q, CURLcode rc)
{
    sp_introspect_answered *answered = q->answered;
    void *arg = q->arg;
    long status = 0;
    char why[200];

    curl_easy_getinfo(q->easy, CURLINFO_RESPONSE_CODE, &status);
    if (q->too_large)
        snprintf(why, sizeof why, "the introspection endpoint's answer is too large");
    else if (rc != CURLE_OK)
        snprintf(why, sizeof why, "introspection: %.150s",
                 q->words[0] ? q->words : curl_easy_strerror(rc));
    else if (status != 200)
        snprintf(why, sizeof why, "the introspection endpoint answers %ld", status);
    else {
        answered(arg, q->body.n ? sp_buf_view(&q->body) : (struct sp_str){"", 0}, "");
        question_free(q);
        return;
    }
    question_free(q);
    answered(arg, (struct sp_str){NULL, 0}, why);
}

static void look_for_ends(struct sp_introspect *x)
{
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(x->multi, &left))) {
        struct question *q = NULL;

        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&q);
        finished(q, m->data.result);
    }
}

/* ---- curl on libuv ---- */

static void on_poll(uv_poll_t *p, int status, int events)
{
    struct watched *w = p->data;
    struct sp_introspect *x = w->x;
    int what = (events & UV_READABLE ? CURL_CSELECT_IN : 0) |
               (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0) |
               (status < 0 ? CURL_CSELECT_ERR : 0);
    int running;

    curl_multi_socket_action(x->multi, w->fd, what, &running);
    look_for_ends(x);
}

/* The handle was a part of it. */
static void free_data(uv_handle_t *h)
{
    sp_free(h->data);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *mine)
{
    struct sp_introspect *x = arg;
    struct watched *w = mine;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (w) {
            uv_poll_stop(&w->poll);
            uv_close((uv_handle_t *)&w->poll, free_data);
        }
        curl_multi_assign(x->multi, fd, NULL);
        return 0;
    }
    if (!w) {
        w = sp_alloc(sizeof *w);
        if (!w)
            return -1;
        w->x = x;
        w->fd = fd;
        if (uv_poll_init_socket(x->loop, &w->poll, fd) < 0) {
            sp_free(w);
            return -1;
        }
        w->poll.data = w;
        curl_multi_assign(x->multi, fd, w);
    }
    uv_poll_start(&w->poll,
                  (what & CURL_POLL_IN ? UV_READABLE : 0) |
                      (what & CURL_POLL_OUT ? UV_WRITABLE : 0),
                  on_poll);
    return 0;
}

static void on_time(uv_timer_t *t)
{
    struct sp_introspect *x = t->data;
    int running;

    curl_multi_socket_action(x->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    look_for_ends(x);
}

static int on_timer(CURLM *multi, long ms, void *arg)
{
    struct sp_introspect *x = arg;

    (void)multi;
    if (ms < 0)
        uv_timer_stop(&x->timer);
    else /* never at once: the caller is still in curl_multi_add_handle() */
        uv_timer_start(&x->timer, on_time, ms ? (uint64_t)ms : 1, 0);
    return 0;
}

struct sp_introspect *sp_introspect_new(uv_loop_t *loop)
{
    struct sp_introspect *x = sp_alloc(sizeof *x);

    if (!x || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        sp_free(x);
        return NULL;
    }
    x->loop = loop;
    x->multi = curl_multi_init();
    if (!x->multi) {
        sp_free(x);
        return NULL;
    }
    uv_timer_init(loop, &x->timer);
    x->timer.data = x;
    curl_multi_setopt(x->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(x->multi, CURLMOPT_SOCKETDATA, x);
    curl_multi_setopt(x->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(x->multi, CURLMOPT_TIMERDATA, x);
    return x;
}

void sp_introspect_free(struct sp_introspect *x)
{
    if (!x)
        return;
    while (x->first) {
        sp_introspect_answered *answered = x->first->answered;
        void *arg = x->first->arg;

        question_free(x->first);
        answered(arg, (struct sp_str){NULL, 0}, "introspection was stopped");
    }
    curl_multi_cleanup(x->multi);
    uv_close((uv_handle_t *)&x->timer, free_data);
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
static int put_login(struct question *q, const struct sp_endpoint *e)
{
    struct sp_str id = {e->client_id, strlen(e->client_id)};
    char *name = curl_easy_escape(NULL, id.p, (int)id.n);
    char *secret =
        curl_easy_escape(NULL, e->secret.n ? e->secret.p : "", (int)e->secret.n);
    int rc =
        name && secret ? sp_buf_printf(&q->secret, "%s:%s", name, secret) : -SP_ENOMEM;

    if (secret)
        sp_wipe(secret, strlen(secret));
    curl_free(name);
    curl_free(secret);
    if (rc < 0 || !sp_buf_cstr(&q->secret))
        return -SP_ENOMEM;
    curl_easy_setopt(q->easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
    curl_easy_setopt(q->easy, CURLOPT_USERPWD, q->secret.p);
    return 0;
}

static int put_ca(struct question *q, const struct sp_endpoint *e)
{
    struct curl_blob blob;

    if (e->ca.n == 0)
        return 0;
    if (sp_buf_str(&q->ca, e->ca) < 0)
        return -SP_ENOMEM;
    blob = (struct curl_blob){q->ca.p, q->ca.n, CURL_BLOB_NOCOPY};
    return curl_easy_setopt(q->easy, CURLOPT_CAINFO_BLOB, &blob) == CURLE_OK
               ? 0
               : -SP_EINPUT;
}

static int prepare(struct question *q, const struct sp_endpoint *e, struct sp_str token)
{
    CURL *c = q->easy;

    q->headers = curl_slist_append(NULL, "Accept: application/json");
    if (!q->headers || put_form(&q->form, "token", token) < 0 ||
        put_form(&q->form, "token_type_hint", (struct sp_str){"access_token", 12}) <
            0 ||
        put_ca(q, e) < 0 || (e->client_id && put_login(q, e) < 0))
        return -SP_ENOMEM;
    curl_easy_setopt(c, CURLOPT_URL, e->url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https,http"); /* http: loopback only */
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L); /* the token goes nowhere else */
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)e->timeout_ms);
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, q->form.p);
    curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)q->form.n);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, q->headers);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, got);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, q);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, q->words);
    curl_easy_setopt(c, CURLOPT_PRIVATE, q);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "sallyport");
    return curl_multi_add_handle(q->x->multi, c) == CURLM_OK ? 0 : -SP_ENOMEM;
}

int sp_introspect_ask(struct sp_introspect *x, const struct sp_endpoint *e,
                      struct sp_str token, sp_introspect_answered *answered, void *arg,
                      struct sp_err *err)
{
    struct question *q;

    if (x->n >= SP_INTROSPECT_MAX)
        return sp_err_set(err, SP_CLASS_TEMPORARY, SP_EAGAIN,
                          "too many tokens are being asked about");
    q = sp_alloc(sizeof *q);
    if (!q)
        return sp_err_nomem(err);
    q->x = x;
    q->answered = answered;
    q->arg = arg;
    sp_buf_init(&q->form, 4 * SP_TOKEN_MAX);
    sp_buf_init(&q->secret, 4096);
    sp_buf_init(&q->ca, 4 << 20);
    sp_buf_init(&q->body, SP_TOKEN_ANSWER_MAX);
    q->next = x->first;
    x->first = q;
    x->n++;
    q->easy = curl_easy_init();
    if (q->easy && prepare(q, e, token) == 0)
        return 0;
    question_free(q);
    return sp_err_nomem(err);
}
