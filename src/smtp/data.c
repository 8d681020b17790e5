/* data.c - see data.h. */
#include "data.h"

#include "rules.h"

#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

void sp_data_init(struct sp_data *d, uint64_t size_max, bool binary)
{
    memset(d, 0, sizeof *d);
    d->size_max = size_max;
    d->binary = binary;
    d->line = 1;
}

/* ---- The fast part: lines are mostly octets that need no thought -------------------- */

static bool special(unsigned char c)
{
    return c == '\r' || c == '\n' || c == '\0';
}

#define ONES  0x0101010101010101u
#define HIGHS 0x8080808080808080u
/* Non-zero where an octet of v is zero; exact up to and with the first such octet. */
static uint64_t zeros(uint64_t v)
{
    return (v - ONES) & ~v & HIGHS;
}

size_t sp_scan_portable(const char *p, size_t n, unsigned *high)
{
    size_t i = 0;

    for (uint64_t v; i + 8 <= n; i += 8) {
        memcpy(&v, p + i, 8);
        if (zeros(v) | zeros(v ^ ONES * '\r') | zeros(v ^ ONES * '\n'))
            break;
        *high |= (v & HIGHS) != 0 ? 0x80 : 0;
    }
    for (; i < n && !special((unsigned char)p[i]); i++)
        *high |= (unsigned char)p[i] & 0x80;
    return i;
}

#if defined(__SSE2__)
size_t sp_scan(const char *p, size_t n, unsigned *high)
{
    const __m128i cr = _mm_set1_epi8('\r'), lf = _mm_set1_epi8('\n');
    const __m128i nul = _mm_setzero_si128();
    size_t i = 0;

    for (; i + 16 <= n; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
        __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(v, cr), _mm_cmpeq_epi8(v, lf));
        unsigned found =
            (unsigned)_mm_movemask_epi8(_mm_or_si128(hit, _mm_cmpeq_epi8(v, nul)));
        unsigned above = (unsigned)_mm_movemask_epi8(v);

        if (found) {
            unsigned at = (unsigned)__builtin_ctz(found);

            *high |= above & ((1u << at) - 1) ? 0x80 : 0;
            return i + at;
        }
        *high |= above ? 0x80 : 0;
    }
    return i + sp_scan_portable(p + i, n - i, high);
}
#else
size_t sp_scan(const char *p, size_t n, unsigned *high)
{
    return sp_scan_portable(p, n, high);
}
#endif

/* ---- The careful part ---------------------------------------------------------------- */

static void found_bad(struct sp_data *d, enum sp_data_bad bad)
{
    if (d->bad != SP_DATA_GOOD || d->binary)
        return;
    d->bad = bad;
    d->bad_line = d->line;
}

static void count(struct sp_data *d, uint64_t n)
{
    d->size += n;
    /* Too big outranks nothing: whatever was found first is what is said. */
    if (d->size_max && d->size > d->size_max && d->bad == SP_DATA_GOOD) {
        d->bad = SP_DATA_TOO_BIG;
        d->bad_line = d->line;
    }
    if (!d->header_done)
        d->header_size = d->size;
}

static void ordinary(struct sp_data *d, size_t n, unsigned high)
{
    if (n == 0)
        return;
    d->line_len += n;
    if (d->line_len > SP_LIMIT_BODY_LINE)
        found_bad(d, SP_DATA_LONG_LINE);
    if (high) {
        d->has_8bit_header |= !d->header_done;
        d->has_8bit_body |= d->header_done;
    }
    d->at = SP_DATA_IN_LINE;
    count(d, n);
}

static void line_end(struct sp_data *d)
{
    d->at = SP_DATA_LINE_START;
    count(d, 1);
    if (d->line_len == 0)
        d->header_done = true;
    d->line_len = 0;
    d->line++;
}

/* One octet that is CR, LF or NUL, or that follows CR. */
static void one(struct sp_data *d, unsigned char c)
{
    if (d->at == SP_DATA_CR && c == '\n') {
        line_end(d);
        return;
    }
    if (d->at == SP_DATA_CR)
        found_bad(d, SP_DATA_BARE_CR);
    if (c == '\r') {
        d->at = SP_DATA_CR;
        count(d, 1);
        return;
    }
    if (c == '\n')
        found_bad(d, SP_DATA_BARE_LF);
    if (c == '\0')
        found_bad(d, SP_DATA_NUL);
    /* A bare LF does not begin a line: a dot behind it ends nothing. */
    ordinary(d, 1, c & 0x80);
    if (c == '\n' && d->binary) {
        d->line_len = 0;
        d->line++;
    }
}

/* Octets up to the next line start (or all): no dot can mean anything in there. */
static size_t within_line(struct sp_data *d, const char *p, size_t n)
{
    size_t i = 0;

    while (i < n) {
        unsigned high = 0;
        size_t k = 0;

        if (d->at != SP_DATA_CR) {
            k = sp_scan(p + i, n - i, &high);
            ordinary(d, k, high);
            i += k;
            /* By far the most lines end here. */
            if (n - i >= 2 && p[i] == '\r' && p[i + 1] == '\n') {
                count(d, 1);
                line_end(d);
                return i + 2;
            }
        }
        if (i < n)
            one(d, (unsigned char)p[i++]);
        if (d->at == SP_DATA_LINE_START)
            return i;
    }
    return i;
}

/* Behind CR LF and a dot: the end, or a stuffed dot. */
static size_t behind_dot(struct sp_data *d, char c)
{
    if (d->at == SP_DATA_DOT && c == '\r') {
        d->at = SP_DATA_DOT_CR;
        return 1;
    }
    if (d->at == SP_DATA_DOT_CR && c == '\n') {
        d->ended = true;
        return 1;
    }
    if (d->at == SP_DATA_DOT_CR) {
        /* CR LF dot CR and no LF: the CR was in the line, and bare. */
        d->at = SP_DATA_CR;
        count(d, 1);
        return 0;
    }
    d->at = SP_DATA_IN_LINE; /* the dot is dropped: RFC 5321 4.5.2 */
    return 0;
}

size_t sp_data_feed(struct sp_data *d, const char *p, size_t n, struct sp_str *ret_span)
{
    size_t i = 0, from = 0;

    while (i < n && (d->at == SP_DATA_DOT || d->at == SP_DATA_DOT_CR)) {
        i += behind_dot(d, p[i]);
        from = i;
        if (d->ended) {
            *ret_span = (struct sp_str){p, 0};
            return i;
        }
    }
    while (i < n) {
        if (d->at == SP_DATA_LINE_START && p[i] == '.') {
            d->at = SP_DATA_DOT;
            *ret_span = (struct sp_str){p + from, d->bad ? 0 : i - from};
            return i + 1;
        }
        i += within_line(d, p + i, n - i);
    }
    *ret_span = (struct sp_str){p + from, d->bad ? 0 : i - from};
    return i;
}

size_t sp_data_chunk(struct sp_data *d, const char *p, size_t n,
                     struct sp_str *ret_span)
{
    for (size_t i = 0; i < n;)
        i += within_line(d, p + i, n - i);
    *ret_span = (struct sp_str){p, d->bad ? 0 : n};
    return n;
}

void sp_data_finish(struct sp_data *d)
{
    if (d->at == SP_DATA_CR)
        found_bad(d, SP_DATA_BARE_CR);
}
