/*
 * tokens.h - the oauth sections in force: whose token is this?
 *
 *     t = sp_tokens_new(loop);
 *     sp_tokens_setup(t, conf, setup, &err);      at start and at each reload
 *     sp_tokens_ask(t, token, judged, arg);       judged() comes once, maybe at once
 *
 * A JWT goes to the section with its issuer, any other token to the first section that
 * asks an endpoint.  Keys are judged here and now (token.h); an endpoint is asked without
 * waiting (introspect.h), and a good answer is kept for introspection-cache, never longer
 * than the token lives, under an HMAC of the token: no token is in memory.
 *
 * A reload does not disturb questions under way: they end by the rules they began with.
 */
#ifndef SP_TOKENS_H
#define SP_TOKENS_H

#include "conf.h"
#include "frame.h"
#include "token.h"

#include <uv.h>

struct sp_tokens;

typedef void sp_tokens_judged(void *arg, enum sp_token_verdict v,
                              const struct sp_token_claims *c, uint64_t leeway_s);

struct sp_tokens *sp_tokens_new(uv_loop_t *loop);
/* On failure the sections that were in force stay. */
int sp_tokens_setup(struct sp_tokens *t, struct sp_conf *conf, const Sp__Setup *s,
                    struct sp_err *err);
void sp_tokens_ask(struct sp_tokens *t, struct sp_str token, sp_tokens_judged *judged,
                   void *arg);
void sp_tokens_free(struct sp_tokens *t); /* what is under way is judged TEMPORARY */

#endif
