/*
 * outbox.h - where `sendmail` leaves a message while the server is down.
 *
 *     rc = sp_outbox_leave(dir, &entry, &err);       0: it is on stable storage
 *     status = sp_outbox_collect(dir, send, arg);    hands each message to send()
 *
 * `dir` is the directory of all users (1777, like /tmp).  Each user has a folder of his own
 * in it, 0700, that he makes himself; nothing is setuid or setgid.  The server's supervisor
 * starts `sendmail -q` as that user (collect.c), so what lies there is only ever read and
 * sent with the user's own rights: who plants a link or a fifo fools himself.
 *
 * A file is lines of the envelope, an empty line, and the message with CRLF.  Each message
 * has a Submission-Key, so that one that is sent twice is queued once.
 */
#ifndef SP_OUTBOX_H
#define SP_OUTBOX_H

#include <sallyport/types.h>

#include <sys/types.h>

struct sp_err;

enum {
    SP_OUTBOX_MESSAGES_MAX = 1000, /* of one user; more are refused */
    SP_OUTBOX_HEAD_MAX = 4 << 20,  /* octets of an envelope */
    SP_OUTBOX_RCPT_MAX = 50000,
};

struct sp_outbox_entry {
    struct sp_str from;                         /* "" is the null reverse-path */
    struct sp_str (*rcpt)(void *arg, size_t i); /* NULL p: no more */
    void *arg;
    const char *notify, *ret, *envid; /* as the options say; NULL: none */
    int fd;                           /* the message, from its beginning */
};

/* -SP_EDENIED, -SP_ELIMIT, -SP_EIO, -SP_ENOSPC, -SP_EINPUT: nothing is left there. */
int sp_outbox_leave(const char *dir, const struct sp_outbox_entry *e,
                    struct sp_err *err);

/* argv-like words ("-f", "a@b", ..., "--", recipients) and the message at fd's offset. */
typedef int sp_outbox_send(void *arg, int argc, char **argv, int fd);
/* Sends what this user has there, oldest first.  send() returns an exit status: 0 removes
 * the message, EX_TEMPFAIL keeps it, anything else sets it aside with the suffix .failed.
 * Returns an exit status: EX_TEMPFAIL when something is left. */
int sp_outbox_collect(const char *dir, sp_outbox_send *send, void *arg);
/* How many messages of this user wait, and how many were set aside. */
void sp_outbox_count(const char *dir, size_t *ret_waiting, size_t *ret_failed);

#endif
