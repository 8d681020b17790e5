/* log.c - see log.h. */
#include "log.h"

#include "meter.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const struct {
    const char *name;
    enum sp_level level;
    const char *doc;
} events[] = {
#define SP_EVENT_ROW(id, name, level, doc) {name, level, doc},
    SP_EVENTS(SP_EVENT_ROW)
#undef SP_EVENT_ROW
};

static struct {
    int fd;
    bool json;
    enum sp_level least;
    char role[32];
} sink = {.fd = 2, .least = SP_LEVEL_INFO, .role = "sallyport"};

void sp_log_setup(int fd, bool json, enum sp_level least, const char *role)
{
    sink.fd = fd;
    sink.json = json;
    sink.least = least;
    snprintf(sink.role, sizeof sink.role, "%s", role);
}

bool sp_log_wants(enum sp_level level)
{
    return sink.fd >= 0 && level <= sink.least;
}

const char *sp_log_name(enum sp_log_event ev)
{
    return events[ev].name;
}

enum sp_level sp_log_level(enum sp_log_event ev)
{
    return events[ev].level;
}

const char *sp_log_doc(enum sp_log_event ev)
{
    return events[ev].doc;
}

uint64_t sp_log_total(enum sp_log_event ev)
{
    return atomic_load_explicit(&sp_meter->event[ev], memory_order_relaxed);
}

static const char *const level_names[] = {"error", "warning", "info", "debug"};

/* RFC 3339 with milliseconds, UTC. */
static void put_time(struct sp_buf *b)
{
    struct timespec ts;
    struct tm tm;

    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    sp_buf_printf(b, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ", tm.tm_year + 1900,
                  tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                  ts.tv_nsec / 1000000);
}

/* JSON knows no \x: everything sp_put_escaped() writes as \xNN becomes \u00NN. */
static void put_json(struct sp_buf *b, struct sp_str s)
{
    struct sp_buf tmp;

    sp_buf_init(&tmp, SP_LOG_LINE_MAX);
    (void)sp_put_escaped(&tmp, s);
    sp_buf_puts(b, "\"");
    for (size_t i = 0; i < tmp.n; i++) {
        if (tmp.p[i] == '\\' && i + 1 < tmp.n && tmp.p[i + 1] == 'x') {
            sp_buf_puts(b, "\\u00");
            i++;
        } else if (tmp.p[i] == '\\' && i + 1 < tmp.n) {
            sp_buf_put(b, tmp.p + i++, 2);
        } else {
            sp_buf_put(b, tmp.p + i, 1);
        }
    }
    sp_buf_puts(b, "\"");
    sp_buf_free(&tmp);
}

static bool plain(struct sp_str s)
{
    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] == '"' || s.p[i] == '\\' || s.p[i] == '=' ||
            s.p[i] == 127)
            return false;
    return sp_utf8_valid(s);
}

static void put_value(struct sp_buf *b, struct sp_str s)
{
    if (plain(s)) {
        sp_buf_str(b, s);
        return;
    }
    sp_buf_puts(b, "\"");
    (void)sp_put_escaped(b, s);
    sp_buf_puts(b, "\"");
}

static struct sp_str cut(struct sp_str s, size_t most)
{
    return (struct sp_str){s.p, s.n > most ? most : s.n};
}

static void line_json(struct sp_buf *b, enum sp_log_event ev, const char *session,
                      const struct sp_kv *kv, size_t most)
{
    sp_buf_puts(b, "{\"time\":\"");
    put_time(b);
    sp_buf_printf(b, "\",\"level\":\"%s\",\"role\":\"%s\",\"event\":\"%s\"",
                  level_names[events[ev].level], sink.role, events[ev].name);
    if (session && *session) {
        sp_buf_puts(b, ",\"session\":");
        put_json(b, sp_str(session));
    }
    for (; kv->key; kv++) {
        sp_buf_printf(b, ",\"%s\":", kv->key);
        if (kv->is_number)
            sp_buf_printf(b, "%" PRIu64, kv->number);
        else
            put_json(b, cut(kv->text, most));
    }
    sp_buf_puts(b, "}");
}

static void line_text(struct sp_buf *b, enum sp_log_event ev, const char *session,
                      const struct sp_kv *kv, size_t most)
{
    put_time(b);
    sp_buf_printf(b, " %s %s %s", sink.role, session && *session ? session : "-",
                  events[ev].name);
    if (events[ev].level <= SP_LEVEL_WARNING)
        sp_buf_printf(b, " %s", level_names[events[ev].level]);
    for (; kv->key; kv++) {
        sp_buf_printf(b, " %s=", kv->key);
        if (kv->is_number)
            sp_buf_printf(b, "%" PRIu64, kv->number);
        else
            put_value(b, cut(kv->text, most));
    }
}

void sp_log_put(enum sp_log_event ev, const char *session, const struct sp_kv *kv)
{
    struct sp_buf b;

    atomic_fetch_add_explicit(&sp_meter->event[ev], 1, memory_order_relaxed);
    if (!sp_log_wants(events[ev].level))
        return;
    sp_buf_init(&b, 4 * SP_LOG_LINE_MAX);
    /* Escapes make a value up to six times as long: how much of each fits shows only in
     * the line.  A longer line would not leave in one piece, and could be mixed with
     * another role's. */
    for (size_t most = 500; most; most /= 2) {
        b.n = 0;
        if (sink.json)
            line_json(&b, ev, session, kv, most);
        else
            line_text(&b, ev, session, kv, most);
        if (b.n < SP_LOG_LINE_MAX)
            break;
    }
    if (sp_buf_puts(&b, "\n") == 0)
        /* A log that cannot be written must not stop the mail. */
        (void)!write(sink.fd, b.p, b.n);
    sp_buf_free(&b);
}
