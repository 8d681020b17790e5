/*
 * t.h - the test frame: small, because a test file should be readable top to bottom.
 *
 *     #include "t.h"
 *     TEST("plaintext behind STARTTLS is never executed") { CHECK(x == 1); CHECK_STR(a, b); }
 *     T_MAIN
 *
 * Each TEST is one result.  The program prints a line per failed check and, at the end,
 * "N passed, N failed"; its exit status is 1 when anything failed.  A substring of a
 * name on the command line runs only the tests that have it; -l lists them.
 */
#ifndef SP_T_H
#define SP_T_H

#include <stdio.h>
#include <string.h>

struct t_case {
    const char *name;
    void (*run)(void);
    struct t_case *next;
};
static struct t_case *t_first, **t_tail = &t_first;
static int t_bad; /* failed checks of the running test */

#define T_CAT2(a, b) a##b
#define T_CAT(a, b) T_CAT2(a, b)
#define TEST(text)                                                                     \
    static void T_CAT(t_run_, __LINE__)(void);                                         \
    static struct t_case T_CAT(t_case_, __LINE__) = {text, T_CAT(t_run_, __LINE__), 0}; \
    __attribute__((constructor)) static void T_CAT(t_add_, __LINE__)(void)             \
    {                                                                                  \
        *t_tail = &T_CAT(t_case_, __LINE__);                                           \
        t_tail = &T_CAT(t_case_, __LINE__).next;                                       \
    }                                                                                  \
    static void T_CAT(t_run_, __LINE__)(void)

#define CHECK(x)                                                                       \
    ((x) ? (void)0 : (void)(t_bad++, printf("%s:%d: not true: %s\n", __FILE__, __LINE__, #x)))
#define CHECK_INT(got, want)                                                           \
    do {                                                                               \
        long long t_g = (long long)(got), t_w = (long long)(want);                     \
        if (t_g != t_w) {                                                              \
            t_bad++;                                                                   \
            printf("%s:%d: %s is %lld, not %lld\n", __FILE__, __LINE__, #got, t_g, t_w); \
        }                                                                              \
    } while (0)
#define CHECK_STR(got, want)                                                           \
    do {                                                                               \
        const char *t_g = (got), *t_w = (want);                                        \
        if (strcmp(t_g ? t_g : "(null)", t_w) != 0) {                                  \
            t_bad++;                                                                   \
            printf("%s:%d: %s is\n  \"%s\", not\n  \"%s\"\n", __FILE__, __LINE__, #got, \
                   t_g ? t_g : "(null)", t_w);                                         \
        }                                                                              \
    } while (0)

static inline int t_main(int argc, char **argv)
{
    int passed = 0, failed = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (struct t_case *t = t_first; t; t = t->next) {
        if (argc > 1 && strcmp(argv[1], "-l") == 0) {
            puts(t->name);
            continue;
        }
        if (argc > 1 && !strstr(t->name, argv[1]))
            continue;
        t_bad = 0;
        t->run();
        if (t_bad)
            printf("FAILED: %s\n", t->name);
        *(t_bad ? &failed : &passed) += 1;
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
#define T_MAIN                                                                         \
    int main(int argc, char **argv)                                                    \
    {                                                                                  \
        return t_main(argc, argv);                                                     \
    }

#endif
