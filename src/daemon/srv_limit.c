/* srv_limit.c - how much an account and an address may send; see server_role.h. */
#include "server_role.h"

#include <stdio.h>
#include <string.h>

void srv_limit_set(struct sp_rates *ret, const struct sp_conf_rates *messages,
                   const struct sp_conf_rates *recipients)
{
    memset(ret, 0, sizeof *ret);
    for (size_t i = 0; i < messages->n; i++)
        ret->n[SP_RATE_MESSAGES][messages->v[i].period] = (uint32_t)messages->v[i].n;
    for (size_t i = 0; recipients && i < recipients->n; i++)
        ret->n[SP_RATE_RECIPIENTS][recipients->v[i].period] =
            (uint32_t)recipients->v[i].n;
}

/* The account's own where it has some, else the listener's.  False: none. */
static bool of_user(const struct srv_session *s, struct sp_rates *ret)
{
    enum { ALL = SP_RATE_WHATS * SP_RATE_PERIODS };

    if (!s->who)
        return false;
    *ret = s->listener->user_rates;
    for (size_t i = 0; s->who->n_rate == ALL && i < ALL; i++)
        if (s->who->rate[i])
            ret->n[i / SP_RATE_PERIODS][i % SP_RATE_PERIODS] = s->who->rate[i];
    return sp_rates_any(ret);
}

static bool of_address(const struct srv_session *s, struct sp_rates *ret)
{
    *ret = s->listener->address_rates;
    return s->listener->policy.kind != SP_SRV_LOCAL && sp_rates_any(ret);
}

static const struct sp_count_place *user_place(struct srv_session *s)
{
    if (!s->user_at.known)
        sp_count_place(s->srv->count, "user-rate", sp_str(s->who->user), &s->user_at);
    return &s->user_at;
}

static const struct sp_count_place *address_place(struct srv_session *s)
{
    char name[100];

    if (!s->address_at.known)
        sp_count_place(s->srv->count, "address-rate",
                       sp_count_address(s->address, name, sizeof name), &s->address_at);
    return &s->address_at;
}

static void words(struct srv_words *w, const char *who, const struct sp_count_over *o)
{
    static const char *const what[] = {"messages", "recipients"};
    uint64_t seconds = o->wait_ns / 1000000000 + 1;

    snprintf(w->text, sizeof w->text,
             "%.100s may send %s%llu %s %s; there is room again in %llu %s", who,
             o->what == SP_RATE_RECIPIENTS ? "mail to " : "",
             (unsigned long long)o->limit.n, what[o->what],
             sp_rate_name(o->limit.period),
             (unsigned long long)(seconds < 120 ? seconds : (seconds + 59) / 60),
             seconds < 120 ? "seconds" : "minutes");
}

bool srv_limit_fits(struct srv_session *s, uint32_t messages, uint32_t recipients,
                    bool take, struct srv_words *ret)
{
    struct sp_rates user, address;
    struct sp_count_over over;
    bool by_user = of_user(s, &user), by_address = of_address(s, &address);
    uint64_t now = by_user || by_address ? uv_hrtime() : 0;

    if (by_user && !sp_count_fits(s->srv->count, user_place(s), &user, now, messages,
                                  recipients, take, &over)) {
        words(ret, s->who->user, &over);
        return false;
    }
    if (by_address && !sp_count_fits(s->srv->count, address_place(s), &address, now,
                                     messages, recipients, take, &over)) {
        if (take && by_user)
            sp_count_refund(s->srv->count, user_place(s), &user, messages, recipients);
        words(ret, s->address, &over);
        return false;
    }
    s->charged = take ? recipients : s->charged;
    return true;
}

void srv_limit_refund(struct srv_session *s)
{
    struct sp_rates r;

    if (!s->charged)
        return;
    if (of_user(s, &r))
        sp_count_refund(s->srv->count, user_place(s), &r, 1, s->charged);
    if (of_address(s, &r))
        sp_count_refund(s->srv->count, address_place(s), &r, 1, s->charged);
    s->charged = 0;
}

void srv_limit_sent(struct srv_session *s, uint32_t recipients)
{
    static const struct sp_rates hourly = {.n[SP_RATE_MESSAGES][SP_RATE_HOUR] = 1};
    struct sp_rates alert;
    struct sp_count_place at;
    struct sp_count_over over;
    char text[60];

    s->charged = 0;
    if (!s->who || s->listener->conf->alert_rate.n == 0)
        return;
    srv_limit_set(&alert, &s->listener->conf->alert_rate, NULL);
    sp_count_place(s->srv->count, "alert", sp_str(s->who->user), &at);
    if (sp_count_fits(s->srv->count, &at, &alert, uv_hrtime(), 1, 0, true, &over))
        return;
    sp_count_place(s->srv->count, "alert-told", sp_str(s->who->user), &at);
    if (!sp_count_fits(s->srv->count, &at, &hourly, uv_hrtime(), 1, 0, true, NULL))
        return;
    snprintf(text, sizeof text, "more than %llu %s", (unsigned long long)over.limit.n,
             sp_rate_name(over.limit.period));
    sp_log(SP_LOG_BUSY, s->id, SP_KVS("user", s->who->user), SP_KVS("messages", text),
           SP_KVU("recipients", recipients), SP_KVS("from", s->peer));
}

bool srv_limit_enter(struct srv_session *s)
{
    uint64_t most =
        s->who->sessions_max ? s->who->sessions_max : s->listener->l->user_sessions;

    if (most == 0 || sp_count_enter(s->srv->count, "user", sp_str(s->who->user),
                                    &s->of_user) <= most)
        return true;
    sp_count_leave(s->srv->count, &s->of_user);
    return false;
}
