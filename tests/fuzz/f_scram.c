/* f_scram.c - stored verifiers as text, SASLprep, and names inside SCRAM messages. */
#include "fz.h"

#include "sasl_i.h"
#include "text.h"

static void verifier(struct sp_str in)
{
    struct sp_scram_verifier v, w;
    char text[SP_SCRAM_TEXT_MAX];
    int n;

    memset(&v, 0, sizeof v);
    memset(&w, 0, sizeof w);
    if (sp_scram_parse(in, &v) < 0)
        return;
    FZ_MUST(v.iterations >= SP_SCRAM_ITERATIONS_MIN &&
                v.iterations <= SP_SCRAM_ITERATIONS_MAX,
            "iterations are in range");
    FZ_MUST(v.salt_len > 0 && v.salt_len <= SP_SCRAM_SALT_MAX && !v.fake,
            "a salt is there");
    n = sp_scram_print(&v, text, sizeof text);
    FZ_MUST(n > 0, "what was read can be printed");
    FZ_MUST(sp_scram_parse((struct sp_str){text, (size_t)n}, &w) == 0 &&
                w.hash == v.hash && w.iterations == v.iterations &&
                w.salt_len == v.salt_len && memcmp(w.salt, v.salt, v.salt_len) == 0 &&
                memcmp(w.stored_key, v.stored_key, sp_scram_len(v.hash)) == 0 &&
                memcmp(w.server_key, v.server_key, sp_scram_len(v.hash)) == 0,
            "a verifier comes back as it went");
}

static void prepare(struct sp_str in)
{
    char out[SP_SASL_NAME_MAX * 2], again[SP_SASL_NAME_MAX * 4];
    bool ascii = true;
    int n, m;

    if (in.n > SP_SASL_NAME_MAX)
        return;
    n = sp_saslprep(in, out, sizeof out);
    for (size_t i = 0; i < in.n; i++)
        ascii = ascii && (unsigned char)in.p[i] >= 32 && (unsigned char)in.p[i] < 127;
    if (ascii)
        FZ_MUST(n == (int)in.n && (n == 0 || memcmp(out, in.p, in.n) == 0),
                "printable ASCII is unchanged");
    if (n < 0)
        return;
    FZ_MUST(sp_utf8_valid((struct sp_str){out, (size_t)n}),
            "what is prepared is UTF-8");
    m = sp_saslprep((struct sp_str){out, (size_t)n}, again, sizeof again);
    FZ_MUST(m < 0 || (m == n && memcmp(out, again, (size_t)n) == 0),
            "preparing twice is once");
}

static void names(struct sp_str in)
{
    struct sp_buf name, text;

    sp_buf_init(&name, SP_SASL_NAME_MAX);
    sp_buf_init(&text, SP_SASL_NAME_MAX * 3 + 1);
    if (sp_scram_get_saslname(in, &name) == 0) {
        struct sp_buf back;

        FZ_MUST(sp_scram_put_saslname(&text, sp_buf_view(&name)) == 0, "room");
        FZ_MUST(text.n == 0 || !memchr(text.p, ',', text.n),
                "no comma is in a saslname");
        sp_buf_init(&back, SP_SASL_NAME_MAX);
        if (sp_scram_get_saslname(sp_buf_view(&text), &back) == 0)
            FZ_MUST(sp_str_eq(sp_buf_view(&back), sp_buf_view(&name)),
                    "a name comes back as it went");
        sp_buf_free(&back);
    }
    sp_buf_free(&name);
    sp_buf_free(&text);
}

FZ_TARGET
{
    struct sp_str in = {size ? (const char *)data : "", size}, rest = in, value;

    verifier(in);
    prepare(in);
    names(in);
    while (rest.n) {
        size_t before = rest.n;

        if (sp_scram_attr(&rest, rest.p[0], &value) < 0)
            break;
        FZ_MUST(fz_inside(value, in) && value.n && rest.n < before,
                "an attribute has a value");
    }
    (void)sp_scram_extensions(in);
    if (sp_scram_nonce_ok(in))
        FZ_MUST(!memchr(in.p, ',', in.n) && !memchr(in.p, 0, in.n),
                "a nonce is printable");
    return 0;
}
