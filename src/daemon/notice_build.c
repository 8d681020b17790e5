/* notice_build.c - see notice_build.h. */
#include "notice_build.h"

#include "notice.h"

#include <openssl/rand.h>

enum { NOTICE_MAX = 60000, RETURNED_MAX = 32768 };

static enum sp_notice_kind kind_of(enum sp_notice_what what)
{
    switch (what) {
    case SP_TELL_DELAY:
        return SP_NOTICE_DELAY;
    case SP_TELL_SUCCESS:
        return SP_NOTICE_SUCCESS;
    case SP_TELL_FAILURE:
    case SP_TELL_POSTMASTER:
        return SP_NOTICE_FAILURE;
    }
    return SP_NOTICE_FAILURE;
}

int sp_notice_build(const struct sp_conf *c, enum sp_notice_what what,
                    const struct sp_notice_about *about, struct sp_arena *arena,
                    Sp__Envelope **ret_env, struct sp_str *ret_content)
{
    struct sp_notice_facts *facts = sp_arena_alloc(arena, sizeof *facts);
    Sp__Envelope *env = sp_arena_alloc(arena, sizeof *env), copy = *about->env;
    struct sp_notice n = {
        .kind = kind_of(what),
        .env = about->env,
        .rcpt = (const Sp__RcptState *const *)about->rcpt,
        .rcpt_n = about->n,
        .id = sp_str(about->id),
        .hostname = sp_str(c->hostname),
        .now_ms = about->now_ms,
        .retry_until_ms = about->retry_until_ms,
        .prefix = about->prefix,
        .content = about->content,
        .full_max = RETURNED_MAX,
    };
    struct sp_buf out;
    int rc;

    if (!facts || !env || RAND_bytes(n.random, sizeof n.random) != 1)
        return -SP_ENOMEM;
    if (what == SP_TELL_POSTMASTER) {
        /* A double bounce: the sender cannot be told, so the postmaster is.  The notice
         * is about the same message with the postmaster as its sender. */
        copy.reverse_path.data = (uint8_t *)(uintptr_t)c->postmaster;
        copy.reverse_path.len = sp_str(c->postmaster).n;
        copy.is_notice = false;
        n.env = &copy;
    }
    sp_buf_init(&out, NOTICE_MAX);
    rc = sp_notice_make(&n, &out, facts);
    if (rc == 0) {
        *ret_content = sp_arena_copy(arena, sp_buf_view(&out));
        rc = ret_content->p ? sp_notice_envelope(&n, facts, arena, env) : -SP_ENOMEM;
    }
    sp_buf_free(&out);
    *ret_env = env;
    return rc;
}
