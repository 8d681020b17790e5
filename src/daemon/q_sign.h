/*
 * q_sign.h - which DKIM signatures a message gets, and their making.
 *
 * The keys and rules of one configuration; a reload makes another, and messages in the
 * pool keep the one they began with.
 *
 *     q_signers_new(conf, setup, &s, &err);       the queue role's loop
 *     q_signers_ref(s);
 *     q_sign(s, &what, out, &err);                any thread
 *     q_signers_unref(s);                         the loop again
 */
#ifndef SP_Q_SIGN_H
#define SP_Q_SIGN_H

#include "conf.h"
#include "frame.h"

struct q_signers;

/* *ret is NULL when the configuration has no dkim section.  -SP_EINPUT: a bad key. */
int q_signers_new(struct sp_conf *conf, const Sp__Setup *s, struct q_signers **ret,
                  struct sp_err *err);
struct q_signers *q_signers_ref(struct q_signers *s); /* NULL is fine */
void q_signers_unref(struct q_signers *s);

struct q_unsigned {
    const Sp__Envelope *env;
    struct sp_str prefix;
    struct sp_str content; /* or all of it in fd */
    int fd;
};

/* Appends the signature fields that this message gets: those of the sections for its
 * author's domain, in the order of the file, first on top.  0: out has them, or there is
 * none to make.  An error: out is as it was. */
int q_sign(const struct q_signers *s, const struct q_unsigned *m, struct sp_buf *out,
           struct sp_err *err);

#endif
