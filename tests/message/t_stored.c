/* t_stored.c - composing the stored message, judging an envelope. */
#include "t.h"

#include "err.h"
#include "stored.h"
#include "text.h"

#define CONTENT "A: 1\r\nB: 2\r\nC: 3\r\n\r\nbody\r\n"

struct fixture {
    Sp__Envelope env;
    Sp__Cut cut[3], *cuts[3];
    Sp__Recipient rcpt[2], *rcpts[2];
};

static ProtobufCBinaryData data(const char *s)
{
    return (ProtobufCBinaryData){strlen(s), (uint8_t *)(uintptr_t)s};
}

static void set_up(struct fixture *f)
{
    sp__envelope__init(&f->env);
    sp_stored_defaults(&f->env, 1000);
    f->env.reverse_path = data("alice@example.org");
    f->env.header_size = 20;
    f->env.content_size = strlen(CONTENT);
    f->env.cut = f->cuts;
    f->env.rcpt = f->rcpts;
    f->env.n_rcpt = 2;
    for (size_t i = 0; i < 3; i++) {
        sp__cut__init(&f->cut[i]);
        f->cuts[i] = &f->cut[i];
    }
    for (size_t i = 0; i < 2; i++) {
        sp__recipient__init(&f->rcpt[i]);
        f->rcpts[i] = &f->rcpt[i];
        f->rcpt[i].address = data(i ? "carol@example.net" : "bob@example.net");
    }
}

static void set_cut(struct fixture *f, size_t i, uint64_t offset, uint64_t length)
{
    f->cut[i].offset = offset;
    f->cut[i].length = length;
    f->env.n_cut = i + 1;
}

static const char *compose(const struct fixture *f, const char *prefix,
                           struct sp_buf *b)
{
    struct iovec iov[SP_STORED_PIECES_MAX];
    size_t n = sp_stored_iov(&f->env, sp_str(prefix), sp_str(CONTENT), iov);

    sp_buf_free(b);
    sp_buf_init(b, 1000);
    for (size_t i = 0; i < n; i++)
        sp_buf_put(b, iov[i].iov_base, iov[i].iov_len);
    CHECK_INT(b->n, sp_stored_size(&f->env, strlen(prefix)));
    for (size_t i = 0; i < n; i++)
        CHECK(iov[i].iov_len > 0);
    return sp_buf_cstr(b);
}

TEST("a next hop gets prefix, header without the cuts, body")
{
    struct fixture f;
    struct sp_buf b = {.p = NULL};

    set_up(&f);
    CHECK_STR(compose(&f, "P: 0\r\n", &b), "P: 0\r\n" CONTENT);
    CHECK_STR(compose(&f, "", &b), CONTENT);
    set_cut(&f, 0, 6, 6);
    CHECK_STR(compose(&f, "P: 0\r\n", &b), "P: 0\r\nA: 1\r\nC: 3\r\n\r\nbody\r\n");
    CHECK_INT(sp_stored_header_size(&f.env, 6), 20);
    set_cut(&f, 0, 0, 6);
    set_cut(&f, 1, 12, 6);
    CHECK_STR(compose(&f, "", &b), "B: 2\r\n\r\nbody\r\n");
    set_cut(&f, 0, 0, 18);
    f.env.n_cut = 1;
    CHECK_STR(compose(&f, "", &b), "\r\nbody\r\n");
    f.env.content_size = 20;
    CHECK_STR(compose(&f, "", &b), "\r\n");
    sp_buf_free(&b);
}

TEST("reading from any offset, any length, gives the same octets")
{
    struct fixture f;
    struct sp_buf b = {.p = NULL};
    char out[100];

    set_up(&f);
    set_cut(&f, 0, 0, 6);
    set_cut(&f, 1, 12, 6);
    compose(&f, "P: 0\r\n", &b);
    for (size_t from = 0; from <= b.n + 1; from++) {
        for (size_t cap = 0; cap <= b.n + 1; cap++) {
            size_t want = from > b.n ? 0 : b.n - from < cap ? b.n - from : cap;
            size_t n = sp_stored_read(&f.env, sp_str("P: 0\r\n"), sp_str(CONTENT), from,
                                      out, cap);

            CHECK_INT(n, want);
            CHECK(memcmp(out, b.p + (from > b.n ? 0 : from), n) == 0);
        }
    }
    /* The caller holds only a part of the content: nothing behind it is touched. */
    CHECK_INT(
        sp_stored_read(&f.env, sp_str(""), (struct sp_str){CONTENT, 8}, 4, out, 100),
        0);
    sp_buf_free(&b);
}

/* One thing is made wrong at a time; `why` must be in the reason. */
#define WRONG(change, why)                                                             \
    do {                                                                               \
        struct fixture f;                                                              \
        struct sp_err err = {.text = ""};                                              \
        set_up(&f);                                                                    \
        CHECK_INT(sp_stored_check(&f.env, 100, &err), 0);                              \
        change;                                                                        \
        CHECK_INT(sp_stored_check(&f.env, 100, &err), -SP_EINPUT);                     \
        if (!strstr(err.text, why))                                                    \
            CHECK_STR(err.text, why);                                                  \
    } while (0)

TEST("an envelope with a cut that is not sorted inside the header is refused")
{
    WRONG(set_cut(&f, 0, 0, 0), "cut");
    WRONG(set_cut(&f, 0, 21, 1), "cut");
    WRONG(set_cut(&f, 0, 0, 21), "cut");
    WRONG(set_cut(&f, 0, 18, UINT64_MAX), "cut");
    WRONG(set_cut(&f, 0, UINT64_MAX, 1), "cut");
    WRONG((set_cut(&f, 0, 6, 6), set_cut(&f, 1, 0, 6)), "cut");
    WRONG((set_cut(&f, 0, 0, 6), set_cut(&f, 1, 5, 6)), "cut");
    WRONG(f.env.header_size = f.env.content_size + 1, "header");
    WRONG(f.env.content_size = UINT64_MAX, "content");
    WRONG(f.env.n_cut = SP_STORED_CUTS_MAX + 1, "cuts");
}

TEST("an envelope with values that cannot be is refused")
{
    WRONG(f.env.n_rcpt = 0, "recipient");
    WRONG(f.rcpt[1].address = data("not an address"), "recipient");
    WRONG(f.rcpt[1].address = data("b@x.org\r\nRCPT TO:<c@x.org>"), "recipient");
    WRONG(f.rcpt[1].address = data(""), "recipient");
    WRONG(f.rcpt[1].address = data("b\xc3\xb6@x.org"), "SMTPUTF8");
    WRONG(f.env.reverse_path = data("a@b@c"), "reverse-path");
    WRONG(f.env.reverse_path = data("\xc3\xb6@x.org"), "SMTPUTF8");
    WRONG(f.rcpt[0].notify = 16, "NOTIFY");
    WRONG(f.rcpt[0].notify = 3, "NOTIFY");
    WRONG(f.env.body = (Sp__BodyType)3, "BODY");
    WRONG(f.env.body = (Sp__BodyType)-1, "BODY");
    WRONG(f.env.ret = (Sp__DsnRet)9, "RET");
    WRONG(f.env.by_mode = (Sp__ByMode)3, "BY");
    WRONG(f.env.priority = 10, "priority");
    WRONG(f.env.priority = -10, "priority");
    WRONG(f.env.client_port = 65536, "port");
    WRONG(f.env.by_seconds = 1000000000, "BY");
    WRONG(f.env.digest = data("short"), "digest");
    WRONG(f.env.version = 0, "version");
}

TEST("what a newer program stored is refused as such, the limits are taken")
{
    struct fixture f;

    set_up(&f);
    f.env.priority = -9;
    f.env.reverse_path = data("");
    f.rcpt[0].notify = 14;
    set_cut(&f, 0, 0, 6);
    set_cut(&f, 1, 6, 14);
    CHECK_INT(sp_stored_check(&f.env, SP_STORED_PREFIX_MAX, NULL), 0);
    CHECK_INT(sp_stored_check(&f.env, SP_STORED_PREFIX_MAX + 1, NULL), -SP_EINPUT);
    f.env.version = SP_STORED_VERSION + 1;
    CHECK_INT(sp_stored_check(&f.env, 0, NULL), -SP_EVERSION);
}

TEST("a state that names a recipient twice, or one that is not there, is refused")
{
    struct fixture f;
    Sp__RcptState r[2], *rp[2] = {&r[0], &r[1]};
    Sp__JobState state;

    set_up(&f);
    sp__job_state__init(&state);
    sp__rcpt_state__init(&r[0]);
    sp__rcpt_state__init(&r[1]);
    state.rcpt = rp;
    state.n_rcpt = 2;
    r[0].index = 1;
    CHECK_INT(sp_stored_check_state(&f.env, &state, NULL), 0);
    r[1].index = 1;
    CHECK_INT(sp_stored_check_state(&f.env, &state, NULL), -SP_EINPUT);
    r[1].index = 2;
    CHECK_INT(sp_stored_check_state(&f.env, &state, NULL), -SP_EINPUT);
    r[1].index = 0;
    r[1].status = (Sp__RcptStatus)77;
    CHECK_INT(sp_stored_check_state(&f.env, &state, NULL), -SP_EINPUT);
}

T_MAIN
