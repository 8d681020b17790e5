/*
 * notice_build.h - one notice (bounce, warning, receipt) as a message for the spool.
 */
#ifndef SP_NOTICE_BUILD_H
#define SP_NOTICE_BUILD_H

#include "arena.h"
#include "conf.h"
#include "sallyport.pb-c.h"

enum sp_notice_what { SP_TELL_FAILURE, SP_TELL_DELAY, SP_TELL_SUCCESS, SP_TELL_POSTMASTER };

struct sp_notice_about {
    const Sp__Envelope *env;         /* the message; rcpt as in the plan */
    const Sp__RcptState **rcpt;      /* those to report */
    size_t n;
    const char *id;
    struct sp_str prefix, content;   /* content: at least the header */
    uint64_t now_ms, retry_until_ms;
};

/* Envelope and content live in the arena.  0, -SP_EDENIED (nobody may be told),
 * -SP_ENOMEM ... */
int sp_notice_build(const struct sp_conf *c, enum sp_notice_what what,
                    const struct sp_notice_about *about, struct sp_arena *arena,
                    Sp__Envelope **ret_env, struct sp_str *ret_content);

#endif
