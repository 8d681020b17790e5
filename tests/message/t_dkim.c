/* t_dkim.c - canonical forms, keys and the field; what verifiers say: t_dkim.py. */
#include "t.h"

#include "dkim.h"
#include "err.h"
#include "text.h"

#include <stdlib.h>

static struct sp_err e;

static const char *body_hash(enum sp_dkim_canon c, const char *text, size_t n, size_t step)
{
    static char out[64];
    struct sp_dkim_body *b = NULL;
    uint8_t hash[SP_DKIM_HASH];

    CHECK_INT(sp_dkim_body_new(c, &b, &e), 0);
    for (size_t at = 0; at < n; at += step)
        sp_dkim_body_feed(b, (struct sp_str){(char *)(uintptr_t)text + at,
                                             n - at < step ? n - at : step});
    CHECK_INT(sp_dkim_body_end(b, hash), 0);
    sp_dkim_body_free(b);
    CHECK(sp_base64_encode(hash, sizeof hash, out, sizeof out) > 0);
    return out;
}

/* Two texts have the same canonical form, however the octets arrive. */
static void same(enum sp_dkim_canon c, const char *a, const char *b)
{
    char want[64];

    snprintf(want, sizeof want, "%s", body_hash(c, b, strlen(b), 1000));
    for (size_t step = 1; step <= strlen(a) + 1; step++)
        CHECK_STR(body_hash(c, a, strlen(a), step), want);
}

static void differ(enum sp_dkim_canon c, const char *a, const char *b)
{
    char want[64];

    snprintf(want, sizeof want, "%s", body_hash(c, b, strlen(b), 1000));
    CHECK(strcmp(body_hash(c, a, strlen(a), 3), want) != 0);
}

TEST("an empty body has the hashes of RFC 6376 3.4")
{
    CHECK_STR(body_hash(SP_DKIM_RELAXED, "", 0, 1),
              "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    CHECK_STR(body_hash(SP_DKIM_SIMPLE, "", 0, 1),
              "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=");
}

TEST("simple: empty lines at the end count as none, every other octet counts")
{
    enum sp_dkim_canon c = SP_DKIM_SIMPLE;

    same(c, "\r\n\r\n", "");
    same(c, " C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n");
    same(c, "no end", "no end\r\n");
    differ(c, "a \r\n", "a\r\n");
    differ(c, "\r\na\r\n", "a\r\n");
    differ(c, "a\r\n \r\n", "a\r\n");
    differ(c, "a\r\n\r\nb\r\n", "a\r\nb\r\n");
}

TEST("relaxed: blanks count as one, at the end of a line as none")
{
    enum sp_dkim_canon c = SP_DKIM_RELAXED;

    same(c, " C \r\nD \t E\r\n\r\n\r\n", " C\r\nD E\r\n");
    same(c, " \t \r\n\r\n  \r\n", "");
    same(c, "a\r\n \t\r\n\r\nb", "a\r\n\r\n\r\nb\r\n");
    same(c, "a\r\n \t", "a\r\n");
    differ(c, "a b\r\n", "ab\r\n");
    differ(c, " a\r\n", "a\r\n");
}

TEST("a bare CR and a bare LF are octets like others")
{
    for (int c = SP_DKIM_SIMPLE; c <= SP_DKIM_RELAXED; c++) {
        differ((enum sp_dkim_canon)c, "a\rb\r\n", "a\r\nb\r\n");
        differ((enum sp_dkim_canon)c, "a\nb\r\n", "a\r\nb\r\n");
        differ((enum sp_dkim_canon)c, "a\r", "a");
        same((enum sp_dkim_canon)c, "a\r\r\n", "a\r\r\n\r\n");
    }
}

TEST("long runs of lines and blanks are bounded in memory, not in length")
{
    size_t n = 1 << 20;
    char *text = malloc(n + 1);
    char want[64];

    memset(text, 'x', n);
    snprintf(want, sizeof want, "%s", body_hash(SP_DKIM_SIMPLE, text, n, n));
    CHECK_STR(body_hash(SP_DKIM_SIMPLE, text, n, 4097), want);
    CHECK_STR(body_hash(SP_DKIM_RELAXED, text, n, 4095), want);
    for (size_t i = 0; i + 1 < n; i += 2)
        memcpy(text + i, "\r\n", 2);
    CHECK_STR(body_hash(SP_DKIM_RELAXED, text, n, 333),
              "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    free(text);
}

static struct sp_dkim_key *made(unsigned bits)
{
    struct sp_dkim_key *k = NULL;
    struct sp_buf pem;

    sp_buf_init(&pem, 16384);
    CHECK_INT(sp_dkim_key_make(bits, &pem, &e), 0);
    CHECK_INT(sp_dkim_key_new(sp_buf_view(&pem), &k, &e), 0);
    sp_buf_wipe(&pem);
    return k;
}

TEST("the record of a made key says its kind; RSA below 1024 bits is refused")
{
    struct sp_dkim_key *rsa = made(2048), *ed = made(0), *weak = NULL;
    struct sp_buf b;

    sp_buf_init(&b, 4096);
    CHECK_INT(sp_dkim_key_record(rsa, &b, &e), 0);
    CHECK(strncmp(sp_buf_cstr(&b), "v=DKIM1; k=rsa; p=MIIB", 22) == 0);
    b.n = 0;
    CHECK_INT(sp_dkim_key_record(ed, &b, &e), 0);
    CHECK_INT(b.n, strlen("v=DKIM1; k=ed25519; p=") + 44);
    CHECK_STR(sp_dkim_key_algorithm(rsa), "rsa-sha256");
    CHECK_STR(sp_dkim_key_algorithm(ed), "ed25519-sha256");
    CHECK_INT(sp_dkim_key_bits(rsa), 2048);
    b.n = 0;
    CHECK_INT(sp_dkim_key_make(768, &b, &e), 0);
    CHECK_INT(sp_dkim_key_new(sp_buf_view(&b), &weak, &e), -SP_EINPUT);
    CHECK(strstr(e.text, "768 bits") != NULL);
    CHECK_INT(sp_dkim_key_new(SP_LIT("no key"), &weak, &e), -SP_EINPUT);
    sp_buf_wipe(&b);
    sp_dkim_key_free(rsa);
    sp_dkim_key_free(ed);
    sp_dkim_key_free(NULL);
}

TEST("h= names each field as often as it is there, oversigned ones once more, From always")
{
    static const char *const sign[] = {"subject", "To", "to", "X-None", "Comments"};
    static const char *const over[] = {"Subject", "X-None", "Reply-To"};
    static const uint8_t hash[SP_DKIM_HASH];
    struct sp_dkim_key *k = made(0);
    struct sp_dkim_how how = {.key = k, .domain = "example.org", .selector = "s1",
                              .header = SP_DKIM_RELAXED, .body = SP_DKIM_RELAXED,
                              .sign = sign, .n_sign = 5, .oversign = over, .n_oversign = 3,
                              .lifetime_s = 100};
    struct sp_str header = SP_LIT("To: b\r\nFrom: a@example.org\r\nsubject: x\r\nTO: c\r\n\r\n");
    struct sp_buf out, small;

    sp_buf_init(&out, SP_DKIM_FIELD_MAX);
    CHECK_INT(sp_dkim_sign(&how, header, hash, 1000, &out, &e), 0);
    CHECK(strstr(sp_buf_cstr(&out), " h=From:From:subject:subject:To:To:X-None;"));
    CHECK(strstr(sp_buf_cstr(&out), "v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org;"));
    CHECK(strstr(sp_buf_cstr(&out), "t=1000; x=1100;"));
    CHECK(out.n > 2 && memcmp(out.p + out.n - 2, "\r\n", 2) == 0);
    for (size_t at = 0, line = 0; at < out.n; at++) {
        line = out.p[at] == '\n' ? 0 : line + 1;
        CHECK(line <= 78);
    }
    sp_buf_init(&small, 200);
    (void)sp_buf_puts(&small, "kept");
    CHECK_INT(sp_dkim_sign(&how, header, hash, 1000, &small, &e), -SP_ELIMIT);
    CHECK_INT(small.n, 4);
    how.domain = "exa mple.org";
    CHECK_INT(sp_dkim_sign(&how, header, hash, 1000, &out, &e), -SP_EINPUT);
    how.domain = "example.org; x=";
    CHECK_INT(sp_dkim_sign(&how, header, hash, 1000, &out, &e), -SP_EINPUT);
    how.domain = "example.org";
    how.selector = "a..b";
    CHECK_INT(sp_dkim_sign(&how, header, hash, 1000, &out, &e), -SP_EINPUT);
    how.selector = "s1";
    how.sign = (const char *const[]){"Sub;ject"};
    how.n_sign = 1;
    CHECK_INT(sp_dkim_sign(&how, header, hash, 1000, &out, &e), -SP_EINPUT);
    sp_buf_free(&out);
    sp_buf_free(&small);
    sp_dkim_key_free(k);
}

TEST("the author's domain is that of the first From mailbox")
{
    static const struct {
        const char *header, *want;
    } row[] = {
        {"From: A <a@Example.ORG>\r\n\r\n", "example.org"},
        {"To: x@y.z\r\nFrom: =?utf-8?q?A?= <a@b.example>, c@d.example\r\n\r\n", "b.example"},
        {"From: \"x@no.example\" <a@yes.example>\r\n\r\n", "yes.example"},
        {"From: (c@no.example) a@yes.example\r\n\r\n", "yes.example"},
        {"From: a@[192.0.2.1]\r\n\r\n", ""},
        {"From: nobody\r\n\r\n", ""},
        {"From: undisclosed:;\r\n\r\n", ""},
        {"Subject: x\r\n\r\n", ""},
        {"", ""},
    };
    char out[256];

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        out[0] = '\0';
        CHECK_INT(sp_dkim_author_domain(sp_str(row[i].header), out, sizeof out),
                  strlen(row[i].want));
        CHECK_STR(out, row[i].want);
    }
    CHECK_INT(sp_dkim_author_domain(sp_str(row[0].header), out, 11), 0);
}

T_MAIN
