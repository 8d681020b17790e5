/* dlv_sts.c - see dlv_sts.h. */
#include "dlv_sts.h"

#include "alloc.h"
#include "log.h"
#include "wallclock.h"

#include <stdio.h>
#include <string.h>

enum { AGAIN_MS = 300000, AWAY_MS = 300000, AWAY_MAX = 512 };

/* ---- whom not to ask just now ---- */

/* A slot a domain: two that share one only mean a question more. */
static struct {
    char domain[256];
    uint64_t until_ms;
} away[AWAY_MAX];

static size_t slot(const char *domain)
{
    uint32_t h = 2166136261u;

    for (; *domain; domain++)
        h = (h ^ (unsigned char)sp_lower(*domain)) * 16777619u;
    return h % AWAY_MAX;
}

static bool is_away(const char *domain, uint64_t now)
{
    size_t i = slot(domain);

    return now < away[i].until_ms && sp_str_caseis(sp_str(domain), away[i].domain);
}

static void stay_away(const char *domain, uint64_t now)
{
    size_t i = slot(domain);

    snprintf(away[i].domain, sizeof away[i].domain, "%s", domain);
    away[i].until_ms = now + AWAY_MS;
}

/* ---- certificate authorities ---- */

struct dlv_ca *dlv_ca_new(struct sp_str pem)
{
    struct dlv_ca *ca = sp_alloc(sizeof *ca);

    if (!ca)
        return NULL;
    ca->refs = 1;
    sp_buf_init(&ca->pem, pem.n);
    if (sp_buf_str(&ca->pem, pem) == 0)
        return ca;
    sp_free(ca);
    return NULL;
}

struct dlv_ca *dlv_ca_ref(struct dlv_ca *ca)
{
    if (ca)
        ca->refs++;
    return ca;
}

void dlv_ca_unref(struct dlv_ca *ca)
{
    if (!ca || --ca->refs)
        return;
    sp_buf_free(&ca->pem);
    sp_free(ca);
}

/* ---- the policy ---- */

static void take(struct dlv_sts *s, const struct sp_sts_policy *p)
{
    if (!s->policy)
        s->policy = sp_alloc(sizeof *s->policy);
    if (s->policy)
        *s->policy = *p;
}

/* Another process may have fetched it meanwhile. */
void dlv_sts_hint(struct dlv_sts *s, struct sp_str kept)
{
    struct sp_sts_policy p;

    if (kept.n && sp_sts_restore(kept, &p) == 0 &&
        (!s->policy || p.fetched_s > s->policy->fetched_s))
        take(s, &p);
}

static void tell_queue(const struct dlv_sts *s)
{
    Sp__StsPolicy m = SP__STS_POLICY__INIT;
    struct sp_buf text;

    sp_buf_init(&text, SP_STS_STORED_MAX);
    if (*s->env->queue && sp_sts_store(s->policy, &text) == 0) {
        m.domain = (char *)(uintptr_t)s->domain;
        m.text = (ProtobufCBinaryData){text.n, (uint8_t *)text.p};
        (void)sp_port_say(*s->env->queue, SP_MSG_STS_POLICY, &m.base);
    }
    sp_buf_free(&text);
}

static void say(const struct dlv_sts *s, const struct sp_sts_answer *a)
{
    char reason[500];

    if (a->fresh)
        sp_log(SP_LOG_STS, "", SP_KVS("domain", s->domain),
               SP_KVS("mode", sp_sts_mode_name(a->policy->mode)),
               SP_KVU("max-age", a->policy->max_age), SP_KVS("id", a->policy->id));
    /* Without a record that can be read most domains would be in the log. */
    if (a->fresh || a->trouble == SP_STS_FINE ||
        (a->trouble == SP_STS_DNS_ERROR && !a->policy))
        return;
    snprintf(reason, sizeof reason, "%s: %s", sp_sts_trouble_words(a->trouble), a->why);
    sp_log(SP_LOG_STS_FAILED, "", SP_KVS("domain", s->domain), SP_KVS("reason", reason),
           SP_KVS("kept", a->policy ? sp_sts_mode_name(a->policy->mode) : "none"));
}

static void on_policy(const struct sp_sts_answer *a, void *arg)
{
    struct dlv_sts *s = arg;
    uint64_t now = uv_now(s->env->loop);

    s->look = NULL;
    s->until_ms = now + AGAIN_MS;
    s->trouble = a->trouble;
    say(s, a);
    if (a->trouble >= SP_STS_FETCH_ERROR && !is_away(s->domain, now))
        stay_away(s->domain, now);
    if (a->policy) {
        take(s, a->policy);
    } else {
        sp_free(s->policy);
        s->policy = NULL;
    }
    if (a->fresh && s->policy)
        tell_queue(s);
    s->changed(s->arg); /* s may be gone behind it */
}

/* A name that is none in DNS has no policy: literals, and names that are not ASCII. */
static bool has_name(const char *domain)
{
    for (const char *p = domain; *p; p++)
        if (*p == '[' || (unsigned char)*p > 126)
            return false;
    return *domain && strlen(domain) < 240;
}

bool dlv_sts_ready(struct dlv_sts *s, const struct dlv_sts_env *env, const char *domain,
                   const struct dlv_ca *ca, const char *ca_path, unsigned timeout_ms,
                   void (*changed)(void *arg), void *arg)
{
    uint64_t now = uv_now(env->loop);
    struct sp_sts_opts o = {.dns = env->dns,
                            .https = env->https,
                            .domain = domain,
                            .known = s->policy,
                            .ca_path = ca ? NULL : ca_path,
                            .timeout_ms = timeout_ms,
                            .stay_away = is_away(domain, now),
                            .now_s = sp_wall_ms() / 1000};

    if (now < s->until_ms || !has_name(domain) || !env->dns || !env->https)
        return true;
    if (s->look)
        return false;
    if (ca)
        o.ca = sp_buf_view(&ca->pem);
    s->env = env;
    s->changed = changed;
    s->arg = arg;
    snprintf(s->domain, sizeof s->domain, "%s", domain);
    s->look = sp_sts_look(&o, on_policy, s);
    return s->look == NULL; /* without memory: with what is known */
}

enum sp_sts dlv_sts_of(const struct dlv_sts *s, const char *host)
{
    const struct sp_sts_policy *p = s->policy;

    if (!p || !sp_sts_valid(p, sp_wall_ms() / 1000) || p->mode == SP_STS_MODE_NONE)
        return SP_STS_NONE;
    if (p->mode == SP_STS_MODE_TESTING)
        return SP_STS_TESTING;
    return sp_sts_lists(p, host) ? SP_STS_ENFORCE : SP_STS_MISMATCH;
}

void dlv_sts_stop(struct dlv_sts *s)
{
    sp_sts_drop(s->look);
    s->look = NULL;
}

void dlv_sts_drop(struct dlv_sts *s)
{
    dlv_sts_stop(s);
    sp_free(s->policy);
    s->policy = NULL;
}
