/*
 * medit.h - the header of a message while milters change it.
 *
 *     sp_medit_init(&e, max);
 *     sp_medit_load(&e, header);                    from the message
 *     for (i = 0; i < e.n; i++) ...e.field[i]       as the next milter sees it
 *     sp_medit_insert(&e, 1, name, value, false);   what it wants
 *     sp_medit_write(&e, &above, &header);          what comes out
 *     sp_medit_free(&e);
 *
 * Fields that nobody touched come out octet for octet.  A new one is written from a name
 * and a value whose lines end in LF: whatever the value is, what comes out is one field,
 * because each further line is made a continuation (header injection).
 *
 * Positions are those of libmilter: fields count from 1; what is inserted at 0 or 1 comes
 * to stand on top, in front of our own Received field, which milters do not see.
 *
 * Everything is copied.  -SP_ELIMIT: more than max octets; -SP_ENOMEM.
 */
#ifndef SP_MEDIT_H
#define SP_MEDIT_H

#include "arena.h"
#include "text.h"

struct sp_medit_field {
    struct sp_str raw;   /* with all its line ends */
    struct sp_str name;  /* empty: a line that is no field; milters do not see it */
    struct sp_str value; /* behind the colon, lines end in LF, the last one without */
    bool above;          /* in front of our Received */
};

struct sp_medit {
    struct sp_arena arena;
    struct sp_medit_field *field;
    size_t n, room;
    size_t octets, max;
    bool changed;
};

void sp_medit_init(struct sp_medit *e, size_t max);
void sp_medit_free(struct sp_medit *e); /* usable again, empty */
/* `header` may end with its empty line. */
int sp_medit_load(struct sp_medit *e, struct sp_str header);

/* leading_space: the value has the blank behind the colon itself. */
int sp_medit_add(struct sp_medit *e, struct sp_str name, struct sp_str value,
                 bool leading_space);
int sp_medit_insert(struct sp_medit *e, uint32_t index, struct sp_str name,
                    struct sp_str value, bool leading_space);
/* The index-th (0 and 1: the first) field of that name.  None: an empty value does
 * nothing, another one is added at the end, as sendmail does. */
int sp_medit_change(struct sp_medit *e, uint32_t index, struct sp_str name,
                    struct sp_str value, bool leading_space);

/* Appends; the header without the empty line. */
int sp_medit_write(const struct sp_medit *e, struct sp_buf *above,
                   struct sp_buf *header);

#endif
