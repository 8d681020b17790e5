/*
 * introspect.h - asks a token introspection endpoint (RFC 7662) without waiting for it.
 *
 *     x = sp_introspect_new(loop);
 *     sp_introspect_ask(x, &endpoint, token, answered, arg, &err);
 *     sp_introspect_free(x);      every answer still due is given as "stopped" first
 *
 * The request is https.h's: verified, bounded, without a thread, wiped afterwards; logins
 * by password go on meanwhile.  An answer has at most SP_TOKEN_ANSWER_MAX octets.
 *
 * answered() is called once, never from within sp_introspect_ask().
 */
#ifndef SP_INTROSPECT_H
#define SP_INTROSPECT_H

#include <sallyport/types.h>
#include <uv.h>

struct sp_endpoint { /* copied */
    const char *url;
    const char *client_id; /* NULL: none */
    struct sp_str secret;  /* of client_id */
    struct sp_str ca;      /* PEM; empty: the system's */
    unsigned timeout_ms;
};

/* body is only there (p not NULL) when the endpoint said 200; else why says what came. */
typedef void sp_introspect_answered(void *arg, struct sp_str body, const char *why);

struct sp_introspect;
struct sp_introspect *sp_introspect_new(uv_loop_t *loop);
void sp_introspect_free(struct sp_introspect *x);
/* -SP_EAGAIN: too many are under way. */
int sp_introspect_ask(struct sp_introspect *x, const struct sp_endpoint *e,
                      struct sp_str token, sp_introspect_answered *answered, void *arg,
                      struct sp_err *err);

#endif
