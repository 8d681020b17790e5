/* https.c - see https.h. */
#include "https.h"

#include "alloc.h"
#include "buf.h"
#include "err.h"
#include "text.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { CA_MAX = 4 << 20, FORM_MAX = 4 << 20, LOGIN_MAX = 4096 };

struct sp_https_req {
    struct sp_https_req *next;
    struct sp_https *h;
    CURL *easy;
    struct curl_slist *headers, *resolve;
    struct sp_buf form, login, ca, body;
    bool too_large;
    char words[CURL_ERROR_SIZE];
    sp_https_done *done;
    void *arg;
};

struct sp_https {
    uv_loop_t *loop;
    CURLM *multi;
    uv_timer_t timer;
    struct sp_https_req *first;
    size_t n;
};

/* One of curl's sockets. */
struct watched {
    uv_poll_t poll;
    struct sp_https *h;
    curl_socket_t fd;
};

/* ---- one request ---- */

static void req_free(struct sp_https_req *r)
{
    for (struct sp_https_req **at = &r->h->first; *at; at = &(*at)->next)
        if (*at == r) {
            *at = r->next;
            r->h->n--;
            break;
        }
    if (r->easy) {
        curl_multi_remove_handle(r->h->multi, r->easy);
        curl_easy_cleanup(r->easy);
    }
    curl_slist_free_all(r->headers);
    curl_slist_free_all(r->resolve);
    sp_buf_wipe(&r->form);
    sp_buf_wipe(&r->login);
    sp_buf_wipe(&r->ca);
    sp_buf_wipe(&r->body);
    sp_free(r);
}

void sp_https_cancel(struct sp_https_req *r)
{
    if (r)
        req_free(r);
}

static size_t got(char *p, size_t size, size_t n, void *arg)
{
    struct sp_https_req *r = arg;

    if (sp_buf_put(&r->body, p, size * n) == 0)
        return size * n;
    r->too_large = true;
    return 0; /* ends the transfer */
}

/* The request is taken off the list first: done() may start others, or stop them all. */
static void finished(struct sp_https_req *r, CURLcode rc)
{
    struct sp_https_answer a = {.type = "", .why = ""};
    sp_https_done *done = r->done;
    void *arg = r->arg;
    struct sp_buf body = r->body;
    char why[CURL_ERROR_SIZE + 40] = "", type[100] = "", *said = NULL;

    sp_buf_init(&r->body, 0);
    curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &a.status);
    curl_easy_getinfo(r->easy, CURLINFO_CONTENT_TYPE, &said);
    if (said)
        snprintf(type, sizeof type, "%s", said);
    if (r->too_large)
        snprintf(why, sizeof why, "the answer is too large");
    else if (rc != CURLE_OK)
        snprintf(why, sizeof why, "%.200s",
                 r->words[0] ? r->words : curl_easy_strerror(rc));
    a.verify_failed = rc == CURLE_PEER_FAILED_VERIFICATION;
    a.type = type;
    a.why = why;
    a.body = body.n ? sp_buf_view(&body) : (struct sp_str){"", 0};
    req_free(r);
    done(arg, &a);
    sp_buf_wipe(&body);
}

static void look_for_ends(struct sp_https *h)
{
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(h->multi, &left))) {
        struct sp_https_req *r = NULL;

        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&r);
        finished(r, m->data.result);
    }
}

/* ---- curl on libuv ---- */

static void on_poll(uv_poll_t *p, int status, int events)
{
    struct watched *w = p->data;
    struct sp_https *h = w->h;
    int what = (events & UV_READABLE ? CURL_CSELECT_IN : 0) |
               (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0) |
               (status < 0 ? CURL_CSELECT_ERR : 0);
    int running;

    curl_multi_socket_action(h->multi, w->fd, what, &running);
    look_for_ends(h);
}

/* The handle was a part of it. */
static void free_data(uv_handle_t *h)
{
    sp_free(h->data);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *mine)
{
    struct sp_https *h = arg;
    struct watched *w = mine;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (w) {
            uv_poll_stop(&w->poll);
            uv_close((uv_handle_t *)&w->poll, free_data);
        }
        curl_multi_assign(h->multi, fd, NULL);
        return 0;
    }
    if (!w) {
        w = sp_alloc(sizeof *w);
        if (!w)
            return -1;
        w->h = h;
        w->fd = fd;
        if (uv_poll_init_socket(h->loop, &w->poll, fd) < 0) {
            sp_free(w);
            return -1;
        }
        w->poll.data = w;
        curl_multi_assign(h->multi, fd, w);
    }
    uv_poll_start(&w->poll,
                  (what & CURL_POLL_IN ? UV_READABLE : 0) |
                      (what & CURL_POLL_OUT ? UV_WRITABLE : 0),
                  on_poll);
    return 0;
}

static void on_time(uv_timer_t *t)
{
    struct sp_https *h = t->data;
    int running;

    curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    look_for_ends(h);
}

static int on_timer(CURLM *multi, long ms, void *arg)
{
    struct sp_https *h = arg;

    (void)multi;
    if (ms < 0)
        uv_timer_stop(&h->timer);
    else /* never at once: the caller is still in curl_multi_add_handle() */
        uv_timer_start(&h->timer, on_time, ms ? (uint64_t)ms : 1, 0);
    return 0;
}

struct sp_https *sp_https_new(uv_loop_t *loop)
{
    struct sp_https *h = sp_alloc(sizeof *h);

    if (!h || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        sp_free(h);
        return NULL;
    }
    h->loop = loop;
    h->multi = curl_multi_init();
    if (!h->multi) {
        sp_free(h);
        return NULL;
    }
    uv_timer_init(loop, &h->timer);
    h->timer.data = h;
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
    return h;
}

void sp_https_free(struct sp_https *h)
{
    static const struct sp_https_answer stopped = {
        .type = "", .body = {"", 0}, .why = "it was stopped"};

    if (!h)
        return;
    while (h->first) {
        sp_https_done *done = h->first->done;
        void *arg = h->first->arg;

        req_free(h->first);
        done(arg, &stopped);
    }
    curl_multi_cleanup(h->multi);
    uv_close((uv_handle_t *)&h->timer, free_data);
}

/* ---- starting ---- */

static int put_ca(struct sp_https_req *r, const struct sp_https_opts *o)
{
    struct curl_blob blob;
    struct stat st;

    if (o->ca.n == 0 && !o->ca_path)
        return 0;
    if (o->ca.n == 0)
        return curl_easy_setopt(r->easy,
                                stat(o->ca_path, &st) == 0 && S_ISDIR(st.st_mode)
                                    ? CURLOPT_CAPATH
                                    : CURLOPT_CAINFO,
                                o->ca_path) == CURLE_OK
                   ? 0
                   : -SP_ENOMEM;
    if (sp_buf_str(&r->ca, o->ca) < 0)
        return -SP_ENOMEM;
    blob = (struct curl_blob){r->ca.p, r->ca.n, CURL_BLOB_NOCOPY};
    return curl_easy_setopt(r->easy, CURLOPT_CAINFO_BLOB, &blob) == CURLE_OK
               ? 0
               : -SP_EINPUT;
}

static int add(struct curl_slist **list, const char *text)
{
    struct curl_slist *l = curl_slist_append(*list, text);

    if (!l)
        return -SP_ENOMEM;
    *list = l;
    return 0;
}

static int put_post(struct sp_https_req *r, const struct sp_https_opts *o)
{
    char line[200];

    if (!o->post)
        return 0;
    if (sp_buf_str(&r->form, o->form) < 0)
        return -SP_ENOMEM;
    curl_easy_setopt(r->easy, CURLOPT_POSTFIELDS, r->form.p ? r->form.p : "");
    curl_easy_setopt(r->easy, CURLOPT_POSTFIELDSIZE, (long)r->form.n);
    snprintf(line, sizeof line, "Content-Type: %s", o->form_type ? o->form_type : "");
    /* Without Expect: a server that knows nothing of it would be waited for. */
    return add(&r->headers, "Expect:") < 0 ||
                   (o->form_type && add(&r->headers, line) < 0)
               ? -SP_ENOMEM
               : 0;
}

static int put_login(struct sp_https_req *r, const struct sp_https_opts *o)
{
    if (!o->login)
        return 0;
    if (sp_buf_puts(&r->login, o->login) < 0 || !sp_buf_cstr(&r->login))
        return -SP_ENOMEM;
    curl_easy_setopt(r->easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
    return curl_easy_setopt(r->easy, CURLOPT_USERPWD, r->login.p) == CURLE_OK
               ? 0
               : -SP_ENOMEM;
}

static int prepare(struct sp_https_req *r, const struct sp_https_opts *o)
{
    CURL *c = r->easy;
    char line[200];

    snprintf(line, sizeof line, "Accept: %s", o->accept ? o->accept : "");
    if ((o->accept && add(&r->headers, line) < 0) ||
        (o->resolve && add(&r->resolve, o->resolve) < 0) || put_ca(r, o) < 0 ||
        put_post(r, o) < 0 || put_login(r, o) < 0)
        return -SP_ENOMEM;
    curl_easy_setopt(c, CURLOPT_URL, o->url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR,
                     o->clear_allowed ? "https,http" : "https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION,
                     0L); /* what is said goes nowhere else */
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)o->timeout_ms);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, r->headers);
    curl_easy_setopt(c, CURLOPT_RESOLVE, r->resolve);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, got);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, r);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, r->words);
    curl_easy_setopt(c, CURLOPT_PRIVATE, r);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "sallyport");
    return curl_multi_add_handle(r->h->multi, c) == CURLM_OK ? 0 : -SP_ENOMEM;
}

struct sp_https_req *sp_https_start(struct sp_https *h, const struct sp_https_opts *o,
                                    sp_https_done *done, void *arg, struct sp_err *err)
{
    struct sp_https_req *r;

    if (h->n >= SP_HTTPS_MAX) {
        (void)sp_err_set(err, SP_CLASS_TEMPORARY, SP_EAGAIN,
                         "too many requests are under way");
        return NULL;
    }
    r = sp_alloc(sizeof *r);
    if (!r) {
        (void)sp_err_nomem(err);
        return NULL;
    }
    r->h = h;
    r->done = done;
    r->arg = arg;
    sp_buf_init(&r->form, FORM_MAX);
    sp_buf_init(&r->login, LOGIN_MAX);
    sp_buf_init(&r->ca, CA_MAX);
    sp_buf_init(&r->body, o->max);
    r->next = h->first;
    h->first = r;
    h->n++;
    r->easy = curl_easy_init();
    if (r->easy && prepare(r, o) == 0)
        return r;
    req_free(r);
    (void)sp_err_nomem(err);
    return NULL;
}
