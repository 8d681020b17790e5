/*
 * conf_in.h - what the files of src/config share; outside, only tests and the accounts
 * file of `send` (which shows mistakes in the same way) include it.
 *
 * Reading goes in three steps.  conf_parse.c cuts the text into lines and words and
 * collects one `struct conf_inst` per section; conf_value.c turns the words of one key
 * into a member; conf_rules.c fills what was left out and judges keys together.
 * Each step notes everything that is wrong and goes on.
 */
#ifndef SP_CONF_IN_H
#define SP_CONF_IN_H

#include "conf.h"
#include "text.h"

struct conf_other {
    enum sp_conf_section_id section;
    const char *word; /* what others call it, with - for _ */
    const char *key;  /* what it is called here */
};

/* The table; a parameter so that tests can have rows of their own. */
struct conf_tables {
    const struct sp_conf_key *keys; /* rows of one section stand together */
    size_t n_keys;
    const struct conf_other *others;
    size_t n_others;
};
extern const struct conf_tables conf_builtin;

const struct sp_conf_key *conf_find(const struct conf_tables *t,
                                    enum sp_conf_section_id section,
                                    struct sp_str name);
unsigned conf_bit(const struct conf_tables *t, const struct sp_conf_key *k);

/* A place in the text. */
struct conf_pos {
    uint32_t line;       /* from 1; 0: nowhere */
    uint32_t line_start; /* octet in the text where the line begins */
    uint32_t at;         /* octet in the line */
    uint32_t len;
};

/* A word of a value, quotes and escapes removed; borrowed from text or scratch. */
struct conf_word {
    struct sp_str s;
    struct conf_pos pos;
    bool quoted;
};

/* A section while it is being read. */
struct conf_inst {
    enum sp_conf_section_id id;
    void *data;                /* its struct */
    struct sp_conf_head *head; /* the first member of the struct */
    struct conf_pos open;      /* `listener NAME {` */
    struct conf_pos name;      /* NAME */
    struct conf_pos *key;      /* [SP_CONF_KEYS_MAX] the key, as first written */
    struct conf_pos **word;    /* [SP_CONF_KEYS_MAX] the words of its value */
    uint32_t *n_words;         /* [SP_CONF_KEYS_MAX] */
    uint64_t bad[2];           /* bit per key: its value was refused */
    bool broken; /* its braces are wrong: what is missing may just be elsewhere */
    struct conf_inst *next; /* in the order of the file */
};

struct conf_parser {
    const struct conf_tables *tables;
    struct sp_str text;
    struct sp_conf *conf;    /* being filled; its arena is kept beside it */
    struct sp_arena *arena;  /* lives as long as conf */
    struct sp_arena scratch; /* lives as long as the parser */
    struct sp_conf_errors *errs;
    struct conf_inst *top;
    struct conf_inst *first[SP_CONF_SECTIONS], **tail[SP_CONF_SECTIONS];
    size_t n[SP_CONF_SECTIONS];
    struct conf_inst **hash; /* sections by kind and name; open addressing */
    size_t hash_size;        /* a power of two */
    struct conf_word *words; /* of the line being read */
    char *unquoted;          /* its quoted words without quotes and escapes */
    bool full;               /* an arena or the memory is exhausted */
};

/* ---- errors (conf_error.c) ---- */

struct conf_note {
    bool warning;
    struct conf_pos pos;
    const char *expected, *example, *help; /* copied; may be NULL */
};
void conf_note(struct conf_parser *p, const struct conf_note *n, const char *fmt, ...)
    SP_PRINTF(3, 4);
bool conf_crowded(const struct sp_conf_errors *errs); /* more would only be counted */
void conf_errors_sort(struct sp_conf_errors *errs);
void conf_errors_nomem(struct sp_conf_errors *errs);
/* Text for a message: `"word"`, escaped, cut when long.  In scratch memory. */
const char *conf_quote(struct conf_parser *p, struct sp_str s);
const char *conf_fmt(struct conf_parser *p, const char *fmt, ...) SP_PRINTF(2, 3);
/* The same for values: conf_fmt() gives "" once nothing more would be shown. */
const char *conf_text(struct conf_parser *p, const char *fmt, ...) SP_PRINTF(2, 3);
/* How many single edits lie between two words, ASCII case aside; 99: too many. */
unsigned conf_distance(struct sp_str a, struct sp_str b);
/* Remember the nearest of several candidates. */
struct conf_nearest {
    struct sp_str want;
    const char *best; /* NULL: none is near enough */
    unsigned distance;
};
void conf_near(struct conf_nearest *n, const char *candidate);

/* ---- values (conf_value.c) ---- */

/* Stores words into the member of k; what does not fit is noted and marked as bad.
 * append: the words are added to a list that has some already. */
void conf_put(struct conf_parser *p, struct conf_inst *in, const struct sp_conf_key *k,
              struct conf_pos at, const struct conf_word *w, size_t n);
/* The default of k into its member; text comes from the table or a rule. */
void conf_put_text(struct conf_parser *p, struct conf_inst *in,
                   const struct sp_conf_key *k, const char *text);
/* Elements of a value: of a list as many as it has, else 1, or 0 where it is not set. */
size_t conf_count(const struct sp_conf_key *k, const void *section);
int conf_print_at(const struct sp_conf_key *k, const void *section, size_t i,
                  struct sp_buf *out);
bool conf_is_list(enum sp_conf_value type);
bool conf_domain_ok(struct sp_str s);

/* ---- lines and words (conf_parse.c) ---- */

struct sp_conf *conf_parse_with(const struct conf_tables *t, struct sp_str text,
                                const char *filename, struct sp_conf_errors *errs);
struct conf_inst *conf_section_named(struct conf_parser *p, enum sp_conf_section_id id,
                                     struct sp_str name);
/* A section that is not in the file. */
struct conf_inst *conf_imply(struct conf_parser *p, enum sp_conf_section_id id,
                             const char *name);

/* ---- what belongs together (conf_rules.c) ---- */

void conf_finish(struct conf_parser *p);
const char *conf_rule_words(size_t i); /* the message of rule i; NULL: no more */

#endif
