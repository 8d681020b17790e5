/*
 * acct_dir.h - the accounts of several sections as one database (users.h).
 *
 *     sp_dir_new(db, &dir); sp_dir_sections(dir, conf);     db: users.db, always open
 *     sp_dir_now(dir, now_ms);
 *     rc = sp_users_find(sp_dir_users(dir), name, &user, &err);
 *     if (sp_dir_missing(dir, i, &q))                       somebody must be asked first:
 *         ... ask section q.source; later sp_dir_answer(dir, &q, status, answer, reason);
 *         ... and then the same look-up again
 *
 * Judging stays what it is, a few look-ups one after the other.  A look-up that would have
 * to ask another process fails with -SP_EAGAIN and notes the question; whoever judges
 * first looks up everything that it will need, asks what is missing, and judges when
 * nothing is missing any more.
 *
 * The first section that knows a name decides.  One that cannot be asked ends the search
 * with -SP_EAGAIN: who is behind it must not log in as somebody it may know.
 *
 * What was answered is believed for the section's time (`believe`), and stays at hand a
 * while longer for judgements under way.  An account that comes back different gets a new
 * generation, so the cache of passwords and live sessions notice.
 */
#ifndef SP_ACCT_DIR_H
#define SP_ACCT_DIR_H

#include "acct.h"

struct sp_dir;

struct sp_dir_question {
    enum sp_acct_what what; /* FIND, FIND_BY_PIN */
    unsigned source;
    char name[SP_ADDRESS_MAX + 1];
};

int sp_dir_new(struct sp_users *db, struct sp_dir **ret, struct sp_err *err);
void sp_dir_free(struct sp_dir *d); /* not the database; NULL is fine */
/* The sections of this configuration, which must live as long as they are in force.
 * What was known is forgotten when they differ. */
void sp_dir_sections(struct sp_dir *d, const struct sp_conf *c);
bool sp_dir_any(const struct sp_dir *d); /* is there a section to ask at all? */
/* What a SCRAM exchange with nobody shows, so that it looks like one with somebody: of the
 * first section that has verifiers.  0: none has. */
uint32_t sp_dir_scram_iterations(const struct sp_dir *d);
/* A handle that sees all of them; it belongs to the directory. */
struct sp_users *sp_dir_users(struct sp_dir *d);
void sp_dir_now(struct sp_dir *d, uint64_t now_ms);
/* Sections that only know passwords (PAM) say yes to every name.  That counts only while
 * a password is what the login rests on; a certificate or a token must name an account
 * that is known to be there. */
void sp_dir_by_password(struct sp_dir *d, bool yes);

/* Questions that look-ups since sp_dir_begin() could not answer; none is there twice. */
void sp_dir_begin(struct sp_dir *d);
size_t sp_dir_missing(const struct sp_dir *d);
const struct sp_dir_question *sp_dir_question(const struct sp_dir *d, size_t i);
/* It is being asked: 1, already 0. */
int sp_dir_asking(struct sp_dir *d, const struct sp_dir_question *q);
/* answer: with SP_ACCT_OK; reason: with SP_ACCT_AWAY.  checked: it came with a password
 * that was right, not with a question of ours. */
int sp_dir_answer(struct sp_dir *d, const struct sp_dir_question *q,
                  enum sp_acct_status st, const struct sp_acct *answer, bool checked,
                  const char *reason, struct sp_err *err);

/* Accounts whose time is over or that changed since the last call, and that somebody
 * used: live sessions should ask again. */
void sp_dir_expired(struct sp_dir *d, void (*each)(void *arg, struct sp_str name),
                    void *arg);

#endif
