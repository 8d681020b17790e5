/*
 * fz.h - what every fuzz target shares; README.md says how they are built and run.
 *
 *     #include "fz.h"
 *     FZ_TARGET
 *     {
 *         struct fz f = {data, size};            a reader over the input
 *         unsigned which = fz_byte(&f);          0 when the input is over
 *         struct sp_str rest = fz_rest(&f);
 *         ...
 *         FZ_MUST(x == y, "the rule that this protects");
 *         return 0;
 *     }
 *
 * A target holds no state from one input to the next: an input must do the same alone as
 * behind a million others.  What is costly and constant may be made once.  A broken rule
 * prints its words and aborts; the fuzzer keeps the input.
 */
#ifndef SP_FZ_H
#define SP_FZ_H

#include <sallyport/types.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
#define FZ_TARGET int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)

#define FZ_MUST(x, rule) ((x) ? (void)0 : fz_broken(__FILE__, __LINE__, #x, rule))

static inline _Noreturn void fz_broken(const char *file, int line, const char *what,
                                       const char *rule)
{
    fprintf(stderr, "%s:%d: rule broken: %s (%s)\n", file, line, rule, what);
    abort();
}

struct fz {
    const uint8_t *p;
    size_t n;
};

static inline unsigned fz_byte(struct fz *f)
{
    if (f->n == 0)
        return 0;
    f->n--;
    return *f->p++;
}

static inline struct sp_str fz_take(struct fz *f, size_t n)
{
    struct sp_str s = {(const char *)f->p, n < f->n ? n : f->n};

    f->p += s.n;
    f->n -= s.n;
    return s;
}

static inline struct sp_str fz_rest(struct fz *f)
{
    return fz_take(f, f->n);
}

/* Up to the next '\n', which is taken and not given; inputs made of lines are easy to
 * write by hand and to mutate. */
static inline struct sp_str fz_line(struct fz *f)
{
    const uint8_t *lf = f->n ? memchr(f->p, '\n', f->n) : NULL;
    struct sp_str s = fz_take(f, lf ? (size_t)(lf - f->p) : f->n);

    (void)fz_byte(f);
    return s;
}

/* Sizes of pieces for feeding one input in many ways: 0 gives all at once, 1 single
 * octets, others a mixture that depends on the number alone. */
static inline size_t fz_piece(unsigned *way, size_t left)
{
    size_t n;

    if (*way == 0 || left == 0)
        return left;
    if (*way == 1)
        return 1;
    *way = *way * 1103515245u + 12345u;
    *way |= 2; /* never one of the two special ones */
    n = 1 + (*way >> 16) % 7;
    return n < left ? n : left;
}

/* A copy on the heap without an octet to spare, so that ASan sees one read too far. */
static inline char *fz_copy(struct sp_str s)
{
    char *p = malloc(s.n ? s.n : 1);

    FZ_MUST(p, "memory");
    if (s.n)
        memcpy(p, s.p, s.n);
    return p;
}

static inline bool fz_inside(struct sp_str part, struct sp_str whole)
{
    return part.n == 0 || (part.p >= whole.p && part.n <= whole.n &&
                           (size_t)(part.p - whole.p) <= whole.n - part.n);
}

/* Where `what` stands in s; NULL: nowhere.  Not inlined: gcc would see a NULL that comes
 * with a length of 0 only. */
static __attribute__((noinline, unused)) const char *fz_find(struct sp_str s,
                                                             const char *what, size_t n)
{
    return s.p && s.n ? memmem(s.p, s.n, what, n) : NULL;
}

#endif
