/*
 * fz_main.c - a main() for fuzz targets without a fuzzer: any compiler, any debugger.
 *
 *     fuzz_NAME [--sample MS] [--seed N] [--dict FILE] [FILE|FOLDER|FILE.seeds]...
 *
 * Every input is run once.  --sample then mutates them for so many milliseconds; the
 * numbers that choose the mutations follow from the seed, which is printed.  An input
 * that kills the program is printed in base64 first:
 *
 *     echo ... | base64 -d >input; fuzz_NAME input
 *
 * A .seeds file holds one input a line: \r \n \t \0 \\ \" \xHH are octets, lines that begin
 * with # are comments.  A .dict file is one of libFuzzer and AFL++: token="octets".
 */
#include "fz.h"

#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { INPUT_MAX = 65536, SAMPLE_MAX = 4096 };

struct input {
    uint8_t *p;
    size_t n;
};
struct inputs {
    struct input *v;
    size_t n;
};

static struct inputs corpus, words;
static const uint8_t *running;
static size_t running_n;

static void add(struct inputs *to, const uint8_t *p, size_t n)
{
    to->v = realloc(to->v, (to->n + 1) * sizeof *to->v);
    FZ_MUST(to->v, "memory");
    to->v[to->n].p = (uint8_t *)fz_copy((struct sp_str){(const char *)p, n});
    to->v[to->n++].n = n;
}

/* ---- An input that kills ---------------------------------------------------------- */

static void put64(const uint8_t *p, size_t n)
{
    static const char digit[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char out[4];

    for (size_t i = 0; i < n; i += 3) {
        unsigned v = (unsigned)p[i] << 16 | (i + 1 < n ? p[i + 1] : 0u) << 8 |
                     (i + 2 < n ? p[i + 2] : 0u);

        for (int k = 0; k < 4; k++)
            out[k] = digit[v >> (18 - 6 * k) & 63];
        if (i + 1 >= n)
            out[2] = '=';
        if (i + 2 >= n)
            out[3] = '=';
        (void)!write(STDERR_FILENO, out, 4);
    }
    (void)!write(STDERR_FILENO, "\n", 1);
}

static void tell_input(void)
{
    static const char head[] = "the input, in base64:\n";

    if (!running)
        return;
    (void)!write(STDERR_FILENO, head, sizeof head - 1);
    put64(running, running_n);
    running = NULL;
}

static void on_signal(int sig)
{
    tell_input();
    signal(sig, SIG_DFL);
    raise(sig);
}

void __sanitizer_set_death_callback(void (*f)(void)) __attribute__((weak));

static void watch_deaths(void)
{
    static const int sigs[] = {SIGABRT, SIGALRM};

    for (size_t i = 0; i < sizeof sigs / sizeof *sigs; i++)
        signal(sigs[i], on_signal);
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(tell_input);
}

/* ---- Reading ------------------------------------------------------------------------ */

static int hex(int c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One escaped line; stops at `end`, returns where. */
static const char *unescape(const char *s, char end, uint8_t *out, size_t *ret_n)
{
    size_t n = 0;

    for (; *s && *s != end && n < INPUT_MAX; s++) {
        if (*s != '\\' || !s[1]) {
            out[n++] = (uint8_t)*s;
            continue;
        }
        s++;
        if (*s == 'x' && hex(s[1]) >= 0 && hex(s[2]) >= 0) {
            out[n++] = (uint8_t)(hex(s[1]) << 4 | hex(s[2]));
            s += 2;
        } else {
            out[n++] = (uint8_t)(*s == 'r'   ? '\r'
                                 : *s == 'n' ? '\n'
                                 : *s == 't' ? '\t'
                                 : *s == '0' ? '\0'
                                             : *s);
        }
    }
    *ret_n = n;
    return s;
}

static void read_lines(FILE *in, bool dictionary)
{
    static uint8_t out[INPUT_MAX];
    char *line = NULL;
    size_t cap = 0, n;

    while (getline(&line, &cap, in) > 0) {
        const char *from = line;

        if (*line == '#' || (dictionary && !(from = strchr(line, '"'))))
            continue;
        (void)unescape(dictionary ? from + 1 : from, dictionary ? '"' : '\n', out, &n);
        add(dictionary ? &words : &corpus, out, n);
    }
    free(line);
}

static bool ends_in(const char *s, const char *tail)
{
    size_t n = strlen(s), k = strlen(tail);

    return n >= k && strcmp(s + n - k, tail) == 0;
}

static int read_path(const char *path)
{
    static uint8_t buf[INPUT_MAX];
    struct stat st;
    FILE *in;
    int rc = 0;

    if (stat(path, &st) < 0) {
        perror(path);
        return 1;
    }
    if (S_ISDIR(st.st_mode)) {
        struct dirent **names;
        int n = scandir(path, &names, NULL, alphasort);

        for (int i = 0; i < n; i++) {
            char sub[4096];

            if (names[i]->d_name[0] != '.' &&
                (size_t)snprintf(sub, sizeof sub, "%s/%s", path, names[i]->d_name) <
                    sizeof sub)
                rc |= read_path(sub);
            free(names[i]);
        }
        free(names);
        return rc;
    }
    in = fopen(path, "r");
    if (!in) {
        perror(path);
        return 1;
    }
    if (ends_in(path, ".seeds") || ends_in(path, ".dict"))
        read_lines(in, ends_in(path, ".dict"));
    else
        add(&corpus, buf, fread(buf, 1, sizeof buf, in));
    fclose(in);
    return 0;
}

/* ---- Mutating ----------------------------------------------------------------------- */

static uint64_t state;

static uint32_t chance(uint32_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return below ? (uint32_t)((state >> 11) % below) : 0;
}

/* buf[0..n) with `with` in the place of `drop` octets at `at`; the new length. */
static size_t replace(uint8_t *buf, size_t n, size_t at, size_t drop, struct input with)
{
    if (drop > n - at)
        drop = n - at;
    if (n - drop + with.n > SAMPLE_MAX)
        return n;
    memmove(buf + at + with.n, buf + at + drop, n - at - drop);
    if (with.n)
        memcpy(buf + at, with.p, with.n);
    return n - drop + with.n;
}

static size_t mutate(uint8_t *buf, size_t n)
{
    static const uint8_t odd[] = {0,    '\r', '\n', ' ', '.', '<', '>', ':', '=', '"',
                                  '\\', '+',  '-',  ';', ',', 127, 128, 255, 9,   '@'};
    const struct input *other = &corpus.v[chance((uint32_t)corpus.n)];
    size_t at = chance((uint32_t)n + 1), from = chance((uint32_t)other->n + 1);
    uint8_t one = odd[chance(sizeof odd)];

    switch (chance(words.n ? 9 : 6)) {
    case 0:
        return replace(buf, n, at, 1 + chance(8), (struct input){NULL, 0});
    case 1:
        return replace(buf, n, at, chance(2), (struct input){&one, 1});
    case 2:
        if (at < n)
            buf[at] ^= (uint8_t)(1u << chance(8));
        return n;
    case 3: /* a piece of another one */
        return replace(
            buf, n, at, chance(2) * chance(32),
            (struct input){other->p + from, chance((uint32_t)(other->n - from) + 1)});
    case 4:
        one = (uint8_t)chance(256);
        return replace(buf, n, at, 1, (struct input){&one, 1});
    case 5: { /* a piece of itself again */
        uint8_t copy[64];
        size_t len = n - at < sizeof copy ? n - at : sizeof copy;

        memcpy(copy, buf + at, len);
        return replace(buf, n, chance((uint32_t)n + 1), 0, (struct input){copy, len});
    }
    default:
        return replace(buf, n, at, chance(2) * chance(16),
                       words.v[chance((uint32_t)words.n)]);
    }
}

static void run_one(const uint8_t *p, size_t n)
{
    uint8_t *exact = (uint8_t *)fz_copy((struct sp_str){(const char *)p, n});

    running = exact;
    running_n = n;
    alarm(20); /* an input that takes so long is a finding */
    (void)LLVMFuzzerTestOneInput(exact, n);
    alarm(0);
    running = NULL;
    free(exact);
}

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static unsigned long long sample(uint64_t ms, uint64_t seed)
{
    static uint8_t buf[SAMPLE_MAX];
    uint64_t end = now_ms() + ms;
    unsigned long long runs = 0;

    state = seed * 0x9e3779b97f4a7c15u + 1;
    if (corpus.n == 0)
        add(&corpus, buf, 0);
    while (now_ms() < end) {
        const struct input *in = &corpus.v[chance((uint32_t)corpus.n)];
        size_t n = in->n < SAMPLE_MAX ? in->n : SAMPLE_MAX;

        memcpy(buf, in->p, n);
        for (unsigned k = 1 + chance(6); k; k--)
            n = mutate(buf, n);
        run_one(buf, n);
        runs++;
    }
    return runs;
}

static void forget(struct inputs *in)
{
    for (size_t i = 0; i < in->n; i++)
        free(in->v[i].p);
    free(in->v);
}

int main(int argc, char **argv)
{
    uint64_t ms = 0, seed = (uint64_t)time(NULL);
    unsigned long long runs = 0;
    size_t committed;
    int bad = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--sample") == 0 && i + 1 < argc)
            ms = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            seed = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--dict") == 0 && i + 1 < argc)
            bad |= read_path(argv[++i]);
        else
            bad |= read_path(argv[i]);
    }
    printf("seed %llu\n", (unsigned long long)seed);
    watch_deaths();
    committed = corpus.n;
    for (size_t i = 0; i < corpus.n; i++)
        run_one(corpus.v[i].p, corpus.v[i].n);
    if (ms)
        runs = sample(ms, seed);
    printf("%zu inputs replayed, %llu mutated\n", committed, runs);
    forget(&corpus);
    forget(&words);
    printf("%d passed, %d failed\n", !bad, bad);
    return bad;
}
