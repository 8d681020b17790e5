/* t_conf_hard.c - damaged text, failing memory, large files. */
#include "alloc.h"
#include "conf_t.h"

#include <stdlib.h>
#include <time.h>

static const char sample[] =
    "# a sample with something of everything\n"
    "hostname = mail.example.org\n"
    "data-directory = \"/var/lib/sally \\\"port\\\"\"\n"
    "local-domains = example.org example.net b\xc3\xbc"
    "cher.example\n"
    "local-domains = more.example\n"
    "retry-intervals = 1m 5m 1h\n"
    "message-size = 20M\n"
    "tls main {\n  certificate = a.pem\n  key = a.key\n  names = mail.example.org\n}\n"
    "listener submission {\n  address = *:587 [::1]:2587\n  client-ca = ca.pem\n"
    "  auth-tls = SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN\n  require-binding = yes\n}\n"
    "listener local {\n  type = local\n  address = unix:/run/x\n}\n"
    "route lmtp {\n  match = example.org sender:<> user:bob *.x.example\n  to = lmtp\n"
    "  lmtp = unix:/run/lmtp localhost:24\n}\n"
    "route smart {\n  match = *\n  to = smarthost\n  host = mx.example.org:587 "
    "192.0.2.1\n"
    "  user = alice\n  password-file = p\n"
    "  server-pin = sha256//n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=\n}\n";

/* xorshift: the same numbers on every machine. */
static uint64_t seed = 0x9e3779b97f4a7c15;
static uint32_t rnd(uint32_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 32) % below;
}

/* ---- damaged text ---- */

static void check_printable(const struct sp_buf *out)
{
    for (size_t i = 0; i < out->n; i++)
        if ((unsigned char)out->p[i] < 32 && out->p[i] != '\n') {
            CHECK(!"a control character in a message");
            return;
        }
    CHECK(out->n == 0 || sp_utf8_valid(sp_buf_view(out)));
}

/* Whatever the text: a result or an error, never both; what is good survives a dump. */
static void swallow(struct sp_str text)
{
    struct sp_conf_errors errs;
    struct sp_conf *c;
    struct sp_buf out;

    sp_conf_errors_init(&errs);
    sp_buf_init(&out, 4 << 20);
    c = sp_conf_parse(text, FILENAME, &errs);
    CHECK((c == NULL) == (errs.errors > 0));
    CHECK_INT(sp_conf_errors_render(&errs, &out, false), 0);
    check_printable(&out);
    if (c)
        t_round_trip(c);
    sp_buf_free(&out);
    sp_conf_unref(c);
    sp_conf_errors_free(&errs);
}

static const char *const pieces[] = {"{",
                                     "}",
                                     "\n",
                                     "=",
                                     "\"",
                                     "\\",
                                     "#",
                                     " ",
                                     "listener x {\n",
                                     "}\n",
                                     "unix:",
                                     "*:",
                                     "[::1]",
                                     "99999999999999999999",
                                     "\xff",
                                     "\xc2\x9b",
                                     "\xef\xbb\xbf",
                                     "\r\n",
                                     "%d%u%%",
                                     "sender:",
                                     "route z {\n match = *\n to = discard\n",
                                     "local-domains =\n",
                                     "-",
                                     ".",
                                     "\t",
                                     "\x01"};

static size_t mutate(char *buf, size_t n, size_t cap)
{
    for (unsigned k = 1 + rnd(6); k; k--) {
        const char *piece = pieces[rnd(sizeof pieces / sizeof pieces[0])];
        size_t at = n ? rnd((uint32_t)n) : 0, len = strlen(piece), cut;

        switch (rnd(5)) {
        case 0: /* another octet */
            if (n)
                buf[at] = (char)rnd(256);
            break;
        case 1: /* a piece goes */
            cut = rnd(20);
            cut = cut < n - at ? cut : n - at;
            memmove(buf + at, buf + at + cut, n - at - cut);
            n -= cut;
            break;
        case 2: /* a line is said twice */
            cut = rnd(60);
            cut = cut < n - at ? cut : n - at;
            if (n + cut > cap)
                break;
            memmove(buf + at + cut, buf + at, n - at);
            n += cut;
            break;
        default: /* something is put in */
            if (n + len > cap)
                break;
            memmove(buf + at + len, buf + at, n - at);
            memcpy(buf + at, piece, len);
            n += len;
        }
    }
    return n;
}

TEST("damaged text gives errors, never a crash, and good text survives a dump")
{
    enum { CAP = 8192 };
    const char *more = getenv("SP_CONF_ROUNDS"); /* the long set says more */
    long rounds = more ? strtol(more, NULL, 10) : 1000;
    char *buf = malloc(CAP);

    for (long i = 0; i < rounds; i++) {
        size_t n = sizeof sample - 1;

        memcpy(buf, sample, n);
        n = mutate(buf, n, CAP);
        /* A copy of the right size, so that reading too far is noticed. */
        char *exact = malloc(n ? n : 1);
        memcpy(exact, buf, n);
        swallow((struct sp_str){exact, n});
        free(exact);
    }
    free(buf);
}

TEST("text that ends anywhere gives errors or a configuration, never a crash")
{
    for (size_t n = 0; n < sizeof sample; n++) {
        char *exact = malloc(n ? n : 1);

        memcpy(exact, sample, n);
        swallow((struct sp_str){exact, n});
        free(exact);
    }
}

/* ---- failing memory ---- */

TEST("when memory fails at any point there is no configuration, and it is said")
{
    struct sp_conf_errors errs;
    struct sp_conf *c = NULL;
    long n = 0;

    for (; n < 10000 && !c; n++) {
        sp_conf_errors_init(&errs);
        sp_alloc_fail_at(n, 1);
        c = sp_conf_parse(sp_str(sample), FILENAME, &errs);
        sp_alloc_fail_at(-1, 0);
        CHECK((c == NULL) == (errs.errors > 0));
        CHECK(c != NULL || errs.nomem);
        if (!c)
            sp_conf_errors_free(&errs);
    }
    CHECK(c != NULL);
    CHECK(n > 5);
    sp_conf_unref(c);
    sp_conf_errors_free(&errs);
}

TEST("one allocation that fails is noticed as well")
{
    struct sp_conf_errors errs;
    long n, used;

    sp_conf_errors_init(&errs);
    sp_alloc_fail_at(-1, 0);
    sp_conf_unref(sp_conf_parse(sp_str(sample), FILENAME, &errs));
    used = sp_alloc_count();
    sp_conf_errors_free(&errs);
    for (n = 0; n < used; n++) {
        struct sp_conf *c;

        sp_conf_errors_init(&errs);
        sp_alloc_fail_at(n, 0);
        c = sp_conf_parse(sp_str(sample), FILENAME, &errs);
        sp_alloc_fail_at(-1, 0);
        CHECK((c == NULL) == (errs.errors > 0));
        sp_conf_unref(c);
        sp_conf_errors_free(&errs);
    }
    CHECK(used > 5);
}

/* ---- large files ---- */

static double cpu(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Seconds to read a file of about `size` octets made of numbered lines. */
static double read_file_of(const char *head, const char *line, const char *tail,
                           size_t size)
{
    struct sp_conf_errors errs;
    struct sp_conf *c;
    struct sp_buf b;
    double t;

    sp_buf_init(&b, SP_CONF_FILE_MAX);
    (void)sp_buf_puts(&b, head);
    for (unsigned i = 0; b.n < size - 200; i++) {
        struct sp_str rest = sp_str(line);

        while (rest.n) {
            (void)sp_buf_str(&b, sp_str_cut(&rest, '@'));
            if (rest.p)
                (void)sp_buf_printf(&b, "%u", i);
        }
    }
    (void)sp_buf_puts(&b, tail);
    sp_conf_errors_init(&errs);
    t = cpu();
    c = sp_conf_parse(sp_buf_view(&b), FILENAME, &errs);
    t = cpu() - t;
    sp_conf_unref(c);
    sp_conf_errors_free(&errs);
    sp_buf_free(&b);
    return t;
}

TEST("the time to read a file grows with its size, not with the square of it")
{
    static const struct {
        const char *head, *line, *tail;
    } shapes[] = {
        {"", "# a comment\n", ""},
        {"", "nonsense-@ = 1\n", ""},
        {"", "hostname = x\n", ""},
        {"", "local-domains = d@.example\n", ""},
        {"",
         "local-domains = d@.example\nroute r@ {\nmatch = d@.example\nto = "
         "discard\n}\n",
         ""},
        {"route r {\nto = discard\n", "match = a@.example\n", "}\n"},
        {"listener l {\n", "address = 127.0.0.1:587\n", "}\n"},
        {"listener l {\naddress = *:1\n", "certificate = x@\n", "}\n"},
        {"listener l {\naddress = *:1\n", "certificate = /x@\n", "}\n"},
        {"listener l {\naddress = *:1\n", "auth-tls = PLAIN\n", "}\n"},
        {"", "tls t@ {\ncertificate = /x\n}\n", ""},
        {"", "listener l@ {\naddress = 127.0.0.1:5\n}\n", ""},
        {"", "listener l {\n", ""},
        {"", "}\n", ""},
        {"", "\"\"\n", ""},
        {"", "x \" \" \" \"\n", ""},
        {"x = ", "\"\" ", ""},
    };

    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        double small =
            read_file_of(shapes[i].head, shapes[i].line, shapes[i].tail, 512 * 1024);
        double large = read_file_of(shapes[i].head, shapes[i].line, shapes[i].tail,
                                    SP_CONF_FILE_MAX);

        if (getenv("SP_CONF_TIMES"))
            printf("%-30.30s %.3f s %.3f s\n", shapes[i].line, small, large);
        /* Eight times the size; quadratic would be 64 times the time. */
        if (large > 24 * (small > 0.005 ? small : 0.005))
            printf("%.30s: %.3f s, then %.3f s\n", shapes[i].line, small, large);
        CHECK(large <= 24 * (small > 0.005 ? small : 0.005));
    }
}
T_MAIN
