/* t_spool.c - the spool: submit, claim, settle, look. */
#include "tq.h"

TEST("a committed message is claimed with exactly what was submitted")
{
    static const char *const to[] = {"bob@Example.ORG", "eve@example.net",
                                     "al@EXAMPLE.org", NULL};
    struct sp_spool *s = tq_fresh();
    struct sp_job *j = NULL;
    uint64_t m = tq_put(s, "alice", "alice@example.com", to);

    CHECK(m != 0);
    sp_spool_close(s);
    s = tq_open();
    CHECK_INT(sp_spool_claim(s, m + 2, &j, &tq_err), 0);
    CHECK(sp_str_is(j->domain, "example.org"));
    CHECK(sp_str_is(j->user, "alice"));
    CHECK_INT(j->env->n_rcpt, 2);
    CHECK_INT(j->index[0], 0);
    CHECK_INT(j->index[1], 2);
    CHECK(memcmp(j->env->rcpt[1]->address.data, "al@EXAMPLE.org", 14) == 0);
    CHECK(sp_str_is(j->prefix, "Received: here\r\n"));
    CHECK(sp_str_is(j->content, "Subject: x\r\n\r\nbody\r\n"));
    CHECK_INT(j->fd, -1);
    CHECK_INT(j->attempt, 1);
    CHECK_STR(j->env->identity->user, "alice");
    sp_job_free(j);
    sp_spool_close(s);
    tq_clean();
}

T_MAIN
