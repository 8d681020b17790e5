/*
 * dlv_sts.h - inside the delivery role: the MTA-STS policy of one destination.
 *
 *     dlv_sts_hint(&x->sts, job->sts);             what the queue keeps came with a job
 *     if (!dlv_sts_ready(&x->sts, &env, changed, x)) ...wait: changed(x) is called
 *     c.sts = dlv_sts_of(&x->sts, host);
 *     dlv_sts_drop(&x->sts);                       nothing is called any more
 *
 * It is looked up with the exchanges, again after a few minutes; a host that policies do
 * not come from is left alone for a while.  What was fetched is told to the queue, which
 * keeps it.
 */
#ifndef SP_DLV_STS_H
#define SP_DLV_STS_H

#include "port.h"
#include "stslook.h"
#include "tlspolicy.h"

struct dlv_ca { /* of policy hosts: shared by the destinations of a route */
    unsigned refs;
    struct sp_buf pem;
};

struct dlv_sts {
    struct sp_sts_policy *policy; /* NULL: none; it may have expired */
    struct sp_sts_look *look;
    uint64_t until_ms; /* loop time; what is known counts until then */
    enum sp_sts_trouble trouble;
    const struct dlv_sts_env *env; /* of the look-up under way */
    char domain[256];
    void (*changed)(void *arg);
    void *arg;
};

struct dlv_sts_env {
    uv_loop_t *loop;
    struct sp_dns *dns;
    struct sp_https *https;
    struct sp_port *const *queue; /* *queue NULL: none just now */
};

struct dlv_ca *dlv_ca_new(struct sp_str pem); /* NULL: no memory */
struct dlv_ca *dlv_ca_ref(struct dlv_ca *ca); /* NULL is fine */
void dlv_ca_unref(struct dlv_ca *ca);

void dlv_sts_hint(struct dlv_sts *s, struct sp_str kept);
/* env must outlive s.  False: changed() comes, never before this has returned. */
bool dlv_sts_ready(struct dlv_sts *s, const struct dlv_sts_env *env, const char *domain,
                   const struct dlv_ca *ca, const char *ca_path, unsigned timeout_ms,
                   void (*changed)(void *arg), void *arg);
enum sp_sts dlv_sts_of(const struct dlv_sts *s, const char *host);
/* A look-up that is under way is given up; it is begun anew when it is asked for. */
void dlv_sts_stop(struct dlv_sts *s);
void dlv_sts_drop(struct dlv_sts *s);

#endif
