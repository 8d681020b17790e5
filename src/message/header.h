/*
 * header.h - walking over the header of a message that may be anything.
 *
 *     struct sp_header_scan s = {0};
 *     sp_header_scan(&s, chunk) ...             until s.done: s.size octets are header
 *
 *     struct sp_header_iter it;
 *     struct sp_field f;
 *     sp_header_start(&it, header);
 *     while (sp_header_next(&it, &f))
 *         if (sp_field_named(&f, "Subject")) ...
 *
 * The input may be cut off, huge, without an empty line, without a single field; nothing
 * is allocated and every octet is looked at a fixed number of times.  All strings handed
 * out point into the input.  Lines end at LF; a CR before it belongs to the end.
 *
 * A header reaches to the first empty line.  A line in it that is no field and no
 * continuation is handed out as SP_FIELD_NONE and the walk goes on: software differs on
 * whether the header ends there, so whoever judges fields must see all of them.
 * Only when the *first* line is no field is there no header at all: nothing is handed
 * out and `body` is 0.
 *
 * The caller must not take `value` for one line: folds are still in it.
 */
#ifndef SP_HEADER_H
#define SP_HEADER_H

#include "text.h"

enum sp_field_kind {
    SP_FIELD_OK,
    SP_FIELD_BLANK_NAME, /* "Subject : x", obsolete: RFC 5322 4.5.  name is without it */
    SP_FIELD_MBOX, /* a "From " or ">From " line of a mailbox file, at the start */
    SP_FIELD_NONE, /* no colon, no name, a control octet in the name ... */
};

struct sp_field {
    enum sp_field_kind kind;
    struct sp_str raw;  /* everything, line ends and continuation lines included */
    struct sp_str name; /* empty unless OK or BLANK_NAME */
    struct sp_str
        value;      /* behind the colon, blanks at both ends and last line end gone */
    size_t offset;  /* of raw, from the start of the header */
    size_t line;    /* number of its first line, from 1 */
    size_t longest; /* octets of its longest line, without the line end */
    bool has_8bit;
};

struct sp_header_iter {
    struct sp_str in;
    size_t pos;
    size_t line;
    bool at_end;   /* the empty line, or the end of the input, was reached */
    bool complete; /* it was an empty line */
    size_t body;   /* with at_end: where the body starts */
    size_t work;   /* octets looked at, so that tests can bound it */
};

void sp_header_start(struct sp_header_iter *it, struct sp_str msg);
/* false: no more; it->complete and it->body are then true of the message. */
bool sp_header_next(struct sp_header_iter *it, struct sp_field *ret);

bool sp_field_named(const struct sp_field *f, const char *name); /* ASCII case folded */
/* The nth (from 0) field of that name.  false: there is none, *ret unchanged. */
bool sp_header_find(struct sp_str header, const char *name, size_t nth,
                    struct sp_field *ret);
size_t sp_header_count(struct sp_str header, const char *name);

/* Appends the value on one line: each fold becomes the blanks that followed it, other
 * control octets a blank.  0, -SP_ELIMIT, -SP_ENOMEM. */
int sp_field_unfold(struct sp_str value, struct sp_buf *out);

/* Finding the end while a message arrives, split anywhere. */
struct sp_header_scan {
    size_t size; /* octets up to and with the first empty line, so far */
    bool done;
    unsigned char state; /* private */
};

/* Takes a chunk and returns how many of its octets come before the body; with s->done
 * all of a later chunk is body (0).  It looks for the empty line only: whether what
 * stands before it is a header, sp_header_start() says. */
size_t sp_header_scan(struct sp_header_scan *s, struct sp_str chunk);

#endif
