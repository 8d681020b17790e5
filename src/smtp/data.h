/*
 * data.h - the octets of a message: undoing dot-stuffing, finding the true end, and
 * looking for what must not be in there.
 *
 *     sp_data_init(&d, size_max, binary);
 *     used = sp_data_feed(&d, p, n, &span);    DATA: span is message, d.ended is the end
 *     used = sp_data_chunk(&d, p, n, &span);   BDAT: no dots, no end
 *
 * Zero copy: a span points into what was fed; a stuffed dot is left out by ending one
 * span before it and beginning the next behind it.  Nothing is held back between calls:
 * the CR LF before the final dot belongs to the message.
 *
 * The end is CR LF dot CR LF and nothing else: not LF dot LF, not LF dot CR LF, not CR
 * dot CR, nor any other mix (SMTP smuggling, CVE-2023-51764 and kin).  A message that
 * has a bare CR, a bare LF, a NUL or a line of more than 998 octets is read to that end
 * and is `bad`; it gives no more spans.  BODY=BINARYMIME allows all of these.
 */
#ifndef SP_DATA_H
#define SP_DATA_H

#include <sallyport/types.h>

enum sp_data_bad {
    SP_DATA_GOOD,
    SP_DATA_BARE_LF,
    SP_DATA_BARE_CR,
    SP_DATA_NUL,
    SP_DATA_LONG_LINE,
    SP_DATA_TOO_BIG,
};

/* Where in a line the next octet is. */
enum sp_data_at {
    SP_DATA_LINE_START, /* behind a true CR LF, or at the very beginning */
    SP_DATA_IN_LINE,
    SP_DATA_CR,     /* behind CR */
    SP_DATA_DOT,    /* behind a dot that began a line */
    SP_DATA_DOT_CR, /* behind a dot that began a line and CR */
};

struct sp_data {
    enum sp_data_at at;
    enum sp_data_bad bad; /* the first thing found; then spans are empty */
    bool binary;
    bool ended;       /* DATA: the final dot was seen */
    bool header_done; /* the first empty line was seen */
    bool has_8bit_header, has_8bit_body;
    uint64_t line;        /* number of the line we are in, from 1 */
    uint64_t bad_line;    /* where `bad` was found */
    uint64_t line_len;    /* octets of it so far, without CR */
    uint64_t size;        /* octets of the message so far, without stuffed dots */
    uint64_t header_size; /* up to and with the first empty line; size if none */
    uint64_t size_max;    /* 0: none */
};

void sp_data_init(struct sp_data *d, uint64_t size_max, bool binary);

/* Both return how many octets were taken: all, or fewer when a span ends before a
 * stuffed dot, or at the end of the message.  *ret_span may be empty. */
size_t sp_data_feed(struct sp_data *d, const char *p, size_t n,
                    struct sp_str *ret_span);
size_t sp_data_chunk(struct sp_data *d, const char *p, size_t n,
                     struct sp_str *ret_span);
/* The last chunk is complete: a CR at its very end was bare. */
void sp_data_finish(struct sp_data *d);

/* Index of the first CR, LF or NUL in p[0..n), or n; *high is or-ed with 0x80 when an
 * octet before it is above 127.  Two forms of the same, for the test. */
size_t sp_scan(const char *p, size_t n, unsigned *high);
size_t sp_scan_portable(const char *p, size_t n, unsigned *high);

#endif
