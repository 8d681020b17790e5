/*
 * tq.h - what the queue's tests share: a spool in a temporary directory, envelopes.
 */
#ifndef SP_TQ_H
#define SP_TQ_H

#include "spool.h"
#include "t.h"
#include "text.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOW 1800000000000ull /* a fixed wall clock */

static char tq_dir[64];
static struct sp_err tq_err;

static inline void tq_rm(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    char path[512];

    while (d && (e = readdir(d))) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(path, sizeof path, "%.200s/%.255s", dir, e->d_name);
        if (unlink(path) < 0)
            tq_rm(path);
    }
    if (d)
        closedir(d);
    rmdir(dir);
}

static inline void tq_clean(void)
{
    if (tq_dir[0])
        tq_rm(tq_dir);
    tq_dir[0] = '\0';
}

/* True: where there is memory for files, for tests that open thousands of spools. */
static bool tq_memory;

static inline const char *tq_new_dir(void)
{
    const char *tmp = tq_memory ? "/dev/shm" : getenv("TMPDIR");

    tq_clean();
    /* A folder with a long name would leave no room for what stands in it. */
    snprintf(tq_dir, sizeof tq_dir, "%s/spq-XXXXXX",
             tmp && *tmp && strlen(tmp) <= 45 ? tmp : "/tmp");
    return mkdtemp(tq_dir);
}

static inline struct sp_spool_options tq_options(void)
{
    struct sp_spool_options o;

    sp_spool_defaults(&o);
    o.no_thread = true;
    return o;
}

static inline struct sp_spool *tq_open_with(const struct sp_spool_options *o)
{
    struct sp_spool *s = NULL;

    tq_err.text[0] = '\0';
    if (sp_spool_open(tq_dir, o, NOW, &s, &tq_err) < 0)
        printf("open: %s\n", tq_err.text);
    return s;
}

/* Opens the spool in tq_dir. */
static inline struct sp_spool *tq_open(void)
{
    struct sp_spool_options o = tq_options();

    return tq_open_with(&o);
}

static inline struct sp_spool *tq_fresh(void)
{
    return tq_new_dir() ? tq_open() : NULL;
}

/* An envelope over caller's storage. */
struct tq_env {
    Sp__Envelope e;
    Sp__Identity id;
    Sp__Recipient rcpt[64], *ptr[64];
};

static inline ProtobufCBinaryData tq_bin(const char *s)
{
    return (ProtobufCBinaryData){.len = strlen(s), .data = (uint8_t *)(uintptr_t)s};
}

static inline void tq_env(struct tq_env *t, const char *user, const char *from)
{
    sp__envelope__init(&t->e);
    sp__identity__init(&t->id);
    t->id.user = (char *)(uintptr_t)user;
    t->e.identity = &t->id;
    t->e.rcpt = t->ptr;
    t->e.received_ms = NOW;
    t->e.reverse_path = tq_bin(from);
}

static inline Sp__Recipient *tq_to(struct tq_env *t, const char *address)
{
    Sp__Recipient *r = &t->rcpt[t->e.n_rcpt];

    sp__recipient__init(r);
    r->address = tq_bin(address);
    t->ptr[t->e.n_rcpt++] = r;
    return r;
}

/* Adds it; the content must outlive the commit. */
static inline int tq_add(struct sp_batch *b, struct tq_env *t, const char *content)
{
    struct sp_submission m = {.env = &t->e,
                              .prefix = SP_LIT("Received: here\r\n"),
                              .content = sp_str(content)};

    t->e.content_size = m.content.n;
    return sp_batch_submit(b, &m, NOW, &tq_err);
}

/* One message to each address of the list (NULL ends it), committed.  Its number. */
static inline uint64_t tq_put(struct sp_spool *s, const char *user, const char *from,
                              const char *const *to)
{
    struct sp_batch *b = sp_batch_new(s);
    struct tq_env t = {0};
    uint64_t message = 0;
    int i;

    tq_env(&t, user, from);
    while (*to)
        tq_to(&t, *to++);
    i = tq_add(b, &t, "Subject: x\r\n\r\nbody\r\n");
    if (i < 0 || sp_spool_commit(s, b, NOW, &tq_err) < 0)
        printf("put: %s\n", tq_err.text);
    else
        message = sp_batch_result(b, i)->message;
    sp_batch_free(b);
    return message;
}

/* An outcome with the same action for `n` recipients, by index. */
struct tq_out {
    Sp__Outcome o;
    Sp__RcptOutcome r[64], *ptr[64];
    Sp__Attempt a[64];
};

static inline void tq_out(struct tq_out *t, uint64_t job, uint64_t lease)
{
    sp__outcome__init(&t->o);
    t->o.job = job;
    t->o.lease = lease;
    t->o.rcpt = t->ptr;
}

static inline Sp__RcptOutcome *tq_say(struct tq_out *t, uint32_t index,
                                      Sp__Action action, uint32_t code,
                                      const char *text)
{
    size_t i = t->o.n_rcpt++;

    sp__rcpt_outcome__init(&t->r[i]);
    sp__attempt__init(&t->a[i]);
    t->a[i].code = code;
    t->a[i].text = (char *)(uintptr_t)text;
    t->r[i].index = index;
    t->r[i].action = action;
    t->r[i].attempt = &t->a[i];
    t->ptr[i] = &t->r[i];
    return &t->r[i];
}
#define DELIVERED SP__ACTION__ACTION_DELIVERED
#define RETRY     SP__ACTION__ACTION_RETRY
#define BOUNCE    SP__ACTION__ACTION_BOUNCE

/* Leases the job, plans and commits one outcome for recipient `index`.  The result's
 * code, or the plan's error. */
static inline int tq_settle(struct sp_spool *s, uint64_t job, uint32_t index,
                            Sp__Action action, uint64_t now)
{
    struct tq_out t = {0};
    struct sp_plan *p;
    struct sp_batch *b;
    int rc;

    tq_out(&t, job,
           sp_spool_leased(s, job) ? sp_spool_leased(s, job) : sp_spool_lease(s, job));
    tq_say(&t, index, action, 250, "so it went");
    rc = sp_spool_plan(s, &t.o, now, &p, &tq_err);
    if (rc < 0)
        return rc;
    b = sp_batch_new(s);
    rc = sp_batch_settle(b, p, &tq_err);
    if (rc == 0)
        rc = sp_spool_commit(s, b, now, &tq_err);
    if (rc == 0)
        rc = sp_batch_result(b, 0)->code;
    sp_batch_free(b);
    sp_plan_free(p);
    return rc;
}

static inline int tq_control(struct sp_spool *s, enum sp_control c, uint64_t message,
                             uint64_t job)
{
    struct sp_batch *b = sp_batch_new(s);
    int rc = sp_batch_control(b, c, message, job, &tq_err);

    if (rc == 0)
        rc = sp_spool_commit(s, b, NOW, &tq_err);
    if (rc == 0)
        rc = sp_batch_result(b, 0)->code;
    sp_batch_free(b);
    return rc;
}

static inline uint64_t tq_messages(struct sp_spool *s)
{
    struct sp_spool_counts c = {0};

    return sp_spool_count(s, &c, &tq_err) < 0 ? UINT64_MAX : c.messages;
}

static inline int tq_files(const char *sub)
{
    char path[200];
    struct dirent *e;
    DIR *d;
    int n = 0;

    snprintf(path, sizeof path, "%s/%s", tq_dir, sub);
    d = opendir(path);
    while (d && (e = readdir(d)))
        n += e->d_name[0] != '.';
    if (d)
        closedir(d);
    return n;
}

#endif
