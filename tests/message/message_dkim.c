/*
 * message_dkim.c - sign messages, for t_dkim.py.
 *
 *     message_dkim KEYFILE DOMAIN SELECTOR simple|relaxed simple|relaxed < list of names
 *
 * Writes NAME.signed beside each: the signature field, then the message.  The body is fed
 * in pieces of odd sizes.  Prints the key's DNS record.
 */
#include "dkim.h"
#include "err.h"
#include "header.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int slurp(const char *path, struct sp_buf *b)
{
    FILE *f = fopen(path, "rb");
    char chunk[4096];
    size_t n;

    if (!f)
        return -1;
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0)
        (void)sp_buf_put(b, chunk, n);
    fclose(f);
    return 0;
}

static enum sp_dkim_canon canon(const char *s)
{
    return strcmp(s, "simple") == 0 ? SP_DKIM_SIMPLE : SP_DKIM_RELAXED;
}

static int sign_file(const char *name, const struct sp_dkim_how *how)
{
    struct sp_buf msg, out;
    struct sp_header_scan scan = {0};
    struct sp_dkim_body *body;
    uint8_t hash[SP_DKIM_HASH];
    struct sp_err err;
    char path[4200];
    FILE *f;
    size_t at;
    int rc;

    sp_buf_init(&msg, 64 << 20);
    sp_buf_init(&out, SP_DKIM_FIELD_MAX);
    if (slurp(name, &msg) < 0 || sp_dkim_body_new(how->body, &body, &err) < 0)
        return -1;
    (void)sp_header_scan(&scan, sp_buf_view(&msg));
    for (at = scan.size; at < msg.n;) {
        size_t n = 1 + at % 509;

        n = n < msg.n - at ? n : msg.n - at;
        sp_dkim_body_feed(body, (struct sp_str){msg.p + at, n});
        at += n;
    }
    rc = sp_dkim_body_end(body, hash);
    sp_dkim_body_free(body);
    if (rc == 0)
        rc = sp_dkim_sign(how, (struct sp_str){msg.p, scan.size}, hash, 1700000000, &out, &err);
    snprintf(path, sizeof path, "%s.signed", name);
    f = rc == 0 ? fopen(path, "wb") : NULL;
    if (f) {
        fwrite(out.p, 1, out.n, f);
        fwrite(msg.p, 1, msg.n, f);
        fclose(f);
    }
    sp_buf_free(&msg);
    sp_buf_free(&out);
    return f ? 0 : -1;
}

int main(int argc, char **argv)
{
    static const char *const sign[] = {"From", "To", "Cc", "Subject", "Date", "Message-ID",
                                       "Content-Type", "Comments", "X-Twice"};
    static const char *const over[] = {"From", "To", "Subject", "Cc"};
    struct sp_dkim_how how = {.sign = sign, .n_sign = 9, .oversign = over, .n_oversign = 4};
    struct sp_dkim_key *key;
    struct sp_buf pem, record;
    struct sp_err err;
    char line[4096];
    int bad = 0;

    if (argc != 6)
        return 64;
    sp_buf_init(&pem, 65536);
    sp_buf_init(&record, 65536);
    if (slurp(argv[1], &pem) < 0 || sp_dkim_key_new(sp_buf_view(&pem), &key, &err) < 0 ||
        sp_dkim_key_record(key, &record, &err) < 0) {
        fprintf(stderr, "%s: %s\n", argv[1], err.text);
        return 66;
    }
    how.key = key;
    how.domain = argv[2];
    how.selector = argv[3];
    how.header = canon(argv[4]);
    how.body = canon(argv[5]);
    puts(sp_buf_cstr(&record));
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (sign_file(line, &how) < 0) {
            fprintf(stderr, "%s: not signed\n", line);
            bad = 1;
        }
    }
    sp_buf_wipe(&pem);
    sp_buf_free(&record);
    sp_dkim_key_free(key);
    return bad;
}
