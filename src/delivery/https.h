/*
 * https.h - one HTTPS request at a time or many, on the loop: libcurl without a thread.
 *
 *     h = sp_https_new(loop);
 *     struct sp_https_opts o = {.url = "https://mta-sts.example.org/...", .max = 65536,
 *                               .timeout_ms = 10000};
 *     r = sp_https_start(h, &o, done, arg, &err);
 *     static void done(void *arg, const struct sp_https_answer *a)
 *     {
 *         if (a->why[0]) ...no answer; the words say why
 *         ...a->status, a->type, a->body         live until it returns
 *     }
 *     sp_https_cancel(r);     before that: done() is never called
 *     sp_https_free(h);       what is still due is told "stopped" first
 *
 * Certificates are verified; redirects, proxies, cookies and compressed answers are not
 * followed, used, kept or taken; an answer has at most `max` octets and one time limit
 * from look-up to last octet.  What is sent and received is wiped.  Everything in the
 * options is copied.  done() comes once, never from within sp_https_start(); it may start and cancel
 * requests, but not free h.
 */
#ifndef SP_HTTPS_H
#define SP_HTTPS_H

#include <sallyport/types.h>
#include <uv.h>

enum { SP_HTTPS_MAX = 64 }; /* requests under way; one more is -SP_EAGAIN */

struct sp_https_opts {
    const char *url;
    bool clear_allowed; /* http: as well; the caller has checked where to */
    const char
        *resolve;     /* "host:443:192.0.2.1,2001:db8::1"; NULL: the system looks up */
    struct sp_str ca; /* PEM; empty: the system's */
    const char *ca_path; /* a file or directory instead; NULL: none */
    unsigned timeout_ms;
    size_t max;         /* octets of an answer */
    const char *accept; /* header field Accept; NULL: none */
    bool post;          /* POST with: */
    struct sp_str form;
    const char *form_type; /* NULL: application/x-www-form-urlencoded */
    const char *login;     /* "name:password" for Basic; NULL: none */
};

struct sp_https_answer {
    long status;
    const char *type;   /* Content-Type, "" without one */
    struct sp_str body; /* p is never NULL when there is an answer */
    const char *why;    /* "": there is an answer */
    bool verify_failed; /* the reason is the server's certificate */
};
typedef void sp_https_done(void *arg, const struct sp_https_answer *a);

struct sp_https;
struct sp_https_req;

struct sp_https *sp_https_new(uv_loop_t *loop); /* NULL: no memory */
void sp_https_free(struct sp_https *h);         /* NULL is fine */
struct sp_https_req *sp_https_start(struct sp_https *h, const struct sp_https_opts *o,
                                    sp_https_done *done, void *arg, struct sp_err *err);
void sp_https_cancel(struct sp_https_req *r); /* NULL is fine */

#endif
