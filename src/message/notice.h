/*
 * notice.h - delivery status notifications: RFC 3461, 3464, 6522, 6533.
 *
 *     struct sp_notice n = {.kind = SP_NOTICE_FAILURE, .env = env, .rcpt = states,
 *                           .rcpt_n = k, .id = queue_id, .hostname = ..., ...};
 *     if (sp_notice_due(env, env->rcpt[i], kind)) ...      collect those
 *     rc = sp_notice_make(&n, &content, &facts);
 *     rc = sp_notice_envelope(&n, &facts, &arena, &notice_env);
 *
 * `content` is a whole message as the spool stores it (header, empty line, body, CRLF
 * line ends); its envelope has the null reverse-path, goes to the reverse-path of the
 * message it is about, and is marked is_notice, so that none is ever made about it.
 *
 * Everything the notice quotes (remote words, addresses, envelope id, Subject) is
 * escaped on the way; the returned message or header stands in its own MIME part.
 */
#ifndef SP_NOTICE_H
#define SP_NOTICE_H

#include "arena.h"
#include "buf.h"
#include "sallyport.pb-c.h"

#include <sallyport/smtp.h>

enum sp_notice_kind {
    SP_NOTICE_FAILURE, /* given up */
    SP_NOTICE_DELAY,   /* still trying */
    SP_NOTICE_SUCCESS, /* delivered, or handed to a hop that will not report */
};

struct sp_notice {
    enum sp_notice_kind kind;
    const Sp__Envelope *env;          /* checked: sp_stored_check() */
    const Sp__RcptState *const *rcpt; /* those to report about; checked indexes */
    size_t rcpt_n;                    /* 1 or more */
    bool relayed;                     /* success: the next hop does not speak DSN */
    struct sp_str id;                 /* queue id of the message it is about */
    struct sp_str hostname;           /* ours */
    struct sp_str postmaster;         /* whom to ask; empty: postmaster at hostname */
    uint64_t now_ms;
    int zone_minutes;
    uint64_t retry_until_ms; /* delay: when we give up; 0 not said */
    uint8_t random[16];
    struct sp_str prefix;  /* of the message, as stored */
    struct sp_str content; /* as stored: all of it, or at least its header */
    size_t full_max;       /* larger messages are returned as header only */
};

/* What the envelope of the notice must say about its content. */
struct sp_notice_facts {
    uint64_t header_size, content_size;
    bool has_8bit_body, has_8bit_header, smtputf8;
    char message_id[320];
};

/* Is a notice of this kind to be made for this recipient?  Never for a notice or for the
 * null reverse-path (RFC 3464 2: notices must not loop), never against NOTIFY; without
 * NOTIFY failures and delays are told, success is not. */
bool sp_notice_due(const Sp__Envelope *env, const Sp__Recipient *rcpt,
                   enum sp_notice_kind kind);

/* Appends the notice to `out` (empty, with room for full_max and some).  0, -SP_ENOMEM,
 * -SP_ELIMIT, -SP_EDENIED (no notice may be made about this message). */
int sp_notice_make(const struct sp_notice *n, struct sp_buf *out,
                   struct sp_notice_facts *ret);

/* Fills *ret from the arena; it lives until the arena is reset, and points into n->env
 * and *facts.  -SP_ENOMEM. */
int sp_notice_envelope(const struct sp_notice *n, const struct sp_notice_facts *facts,
                       struct sp_arena *arena, Sp__Envelope *ret);

/* What an enhanced status code means and what the sender can do, in plain words.
 * Never NULL; "5.1.1" and "4.1.1" differ in nothing but what we go on doing. */
const char *sp_notice_meaning(const char *enhanced);
const char *sp_notice_advice(const char *enhanced);

#endif
