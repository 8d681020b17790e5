/*
 * qid.h - queue ids: short, unique for ever, readable aloud.
 *
 *     char id[SP_QID_MAX];
 *     sp_qid_format(number, id);             "0BZK4Q7T1XW9E"
 *     if (sp_qid_parse(str, &number) < 0)    not an id
 *
 * A queue id is the number of the message's row, written in 13 digits of base 32
 * without I, L, O and U.  Reading is generous: case does not matter, O is 0, I and L
 * are 1.  The number is the time in milliseconds and 21 bits that begin at random, so
 * ids sort by age and a row is appended, never inserted in the middle of the table.
 * Jobs and body files get their numbers from the same source.
 */
#ifndef SP_QID_H
#define SP_QID_H

#include <sallyport/types.h>

#define SP_QID_LEN 13
#define SP_QID_MAX                                                                     \
    32 /* room for longer ids of another spool implementation, NUL included */

void sp_qid_format(uint64_t number, char ret_id[SP_QID_MAX]);
int sp_qid_parse(struct sp_str s, uint64_t *ret_number); /* -SP_EINPUT */

struct sp_qid_source {
    uint64_t last; /* the highest number given out */
};

/* The first of `n` consecutive numbers, above all numbers given out before.  A clock
 * that went back makes the time in the number wrong, never the number a second time.
 * 0 when the numbers are used up (in the year 2165) or n is 0. */
uint64_t sp_qid_next(struct sp_qid_source *s, uint64_t now_ms, uint32_t n);
/* The lowest number that belongs to this time. */
uint64_t sp_qid_floor(uint64_t ms);

#endif
