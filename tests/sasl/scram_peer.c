/*
 * scram_peer.c - one side of a SCRAM exchange over stdin and stdout, for other
 * implementations to play against: a token in base64 a line, then "OK" or "FAILED".
 *
 *     scram_peer client|server MECHANISM USER PASSWORD
 */
#include <sallyport/sasl.h>

#include "text.h"

#include <stdio.h>
#include <string.h>

static void say(struct sp_str token)
{
    char text[16384];
    int n = sp_base64_encode(token.p, token.n, text, sizeof text);

    printf("%.*s\n", n, text);
    fflush(stdout);
}

/* The next token; p NULL at the end. */
static struct sp_str hear(void)
{
    static char line[16384], token[12288];
    struct sp_str s;
    int n;

    if (!fgets(line, sizeof line, stdin))
        return (struct sp_str){0};
    s = sp_str(line);
    while (s.n && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\r'))
        s.n--;
    n = sp_base64_decode(s, token, sizeof token);
    return n < 0 ? (struct sp_str){0} : (struct sp_str){token, (size_t)n};
}

static enum sp_sasl_status serve(struct sp_sasl *s, const struct sp_scram_verifier *v)
{
    enum sp_sasl_status st = SP_SASL_CONTINUE;

    while (st == SP_SASL_CONTINUE) {
        struct sp_str in = hear(), out = {0};

        if (!in.p)
            return SP_SASL_FAILED;
        st = sp_sasl_step(s, in, &out);
        if (st == SP_SASL_VERIFIER)
            st = sp_sasl_give_scram(s, v, &out);
        if (st != SP_SASL_FAILED)
            say(out);
    }
    return st;
}

static enum sp_sasl_status ask(struct sp_sasl *c)
{
    struct sp_str in = {0}, out = {0};
    enum sp_sasl_status st = sp_sasl_step(c, in, &out);

    while (st == SP_SASL_CONTINUE) {
        say(out);
        in = hear();
        if (!in.p)
            return SP_SASL_FAILED;
        st = sp_sasl_step(c, in, &out);
    }
    return st;
}

int main(int argc, char **argv)
{
    struct sp_sasl_server_opts so = {0};
    struct sp_sasl_client_opts co = {0};
    struct sp_sasl *s = NULL;
    struct sp_scram_verifier v;
    enum sp_scram_hash hash;
    struct sp_err err = {0};
    bool server = argc == 5 && strcmp(argv[1], "server") == 0;
    enum sp_sasl_status st;

    if (argc != 5 || sp_sasl_scram_hash(sp_str(argv[2]), &hash) < 0)
        return 2;
    co.user = sp_str(argv[3]);
    co.password = sp_str(argv[4]);
    if (sp_scram_make(hash, co.password, (struct sp_str){0}, 4096, &v) < 0 ||
        (server ? sp_sasl_server_new(sp_str(argv[2]), &so, &s, &err)
                : sp_sasl_client_new(sp_str(argv[2]), &co, &s, &err)) < 0)
        return 2;
    st = server ? serve(s, &v) : ask(s);
    if (sp_sasl_error(s))
        fprintf(stderr, "%s\n", sp_sasl_error(s)->text);
    puts(st == SP_SASL_DONE ? "OK" : "FAILED");
    sp_sasl_free(s);
    return st != SP_SASL_DONE;
}
