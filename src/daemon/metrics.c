/* metrics.c - see metrics.h. */
#include "metrics.h"

#include "alloc.h"
#include "door.h"
#include "err.h"
#include "meter.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SCRAPES_MAX = 8, /* at a time, over all doors */
    ASK_MAX = 8192,  /* octets of a request */
    TEXT_MAX = 1 << 20,
    SCRAPE_MS = 10000, /* from connect to the last octet */
};

/* ---- the text ---- */

#define EVENT_NAME(id, name, level, doc) name,
static const char *const event_name[] = {SP_EVENTS(EVENT_NAME)};
#undef EVENT_NAME

#define METER_ROW(id, name, type, help) {name, type, help},
static const struct {
    const char *name, *type, *help;
} meters[] = {SP_METERS(METER_ROW)};
#undef METER_ROW

static void head(struct sp_buf *out, const char *name, const char *type,
                 const char *help)
{
    (void)sp_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void one(struct sp_buf *out, const char *name, const char *type,
                const char *help, uint64_t value)
{
    head(out, name, type, help);
    (void)sp_buf_printf(out, "%s %" PRIu64 "\n", name, value);
}

static uint64_t get(_Atomic uint64_t *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

/* Is this the first part of its role?  Its row stands for all of them. */
static bool first_of_role(const struct sp_role *r, unsigned i)
{
    for (unsigned k = 0; k < i; k++)
        if (r->part_role[k] == r->part_role[i])
            return false;
    return true;
}

static uint64_t sum_event(const struct sp_role *r, unsigned from, size_t ev)
{
    uint64_t sum = 0;

    for (unsigned i = from; i < r->parts; i++)
        if (r->part_role[i] == r->part_role[from])
            sum += get(&sp_meters_part(r->meters, i)->event[ev]);
    return sum;
}

static void events(const struct sp_role *r, struct sp_buf *out)
{
    static const char name[] = "sallyport_events_total";

    head(
        out, name, "counter",
        "Events of the log by name and role, written or not; sallyport(1) lists them.");
    for (size_t ev = 0; ev < SP_LOG_EVENTS; ev++)
        for (unsigned i = 0; i < r->parts; i++)
            if (first_of_role(r, i))
                (void)sp_buf_printf(out, "%s{event=\"%s\",role=\"%s\"} %" PRIu64 "\n",
                                    name, event_name[ev], sp_role_name(r->part_role[i]),
                                    sum_event(r, i, ev));
}

static void meters_out(const struct sp_role *r, struct sp_buf *out)
{
    for (size_t m = 0; m < SP_METER_COUNT; m++) {
        uint64_t sum = 0;

        for (unsigned i = 0; i < r->parts; i++)
            sum += get(&sp_meters_part(r->meters, i)->n[m]);
        one(out, meters[m].name, meters[m].type, meters[m].help, sum);
    }
}

static void put_seconds(struct sp_buf *out, uint64_t us)
{
    (void)sp_buf_printf(out, "%" PRIu64 ".%06u", us / 1000000,
                        (unsigned)(us % 1000000));
}

static void reply_times(const struct sp_role *r, struct sp_buf *out)
{
    static const char name[] = "sallyport_reply_seconds";
    uint64_t count = 0, us = 0;

    head(out, name, "histogram",
         "Time from the last octet of a message to its 250: until it was durable.");
    for (size_t b = 0; b <= SP_METER_BUCKETS; b++) {
        for (unsigned i = 0; i < r->parts; i++)
            count += get(&sp_meters_part(r->meters, i)->reply[b]);
        (void)sp_buf_printf(out, "%s_bucket{le=\"", name);
        if (b < SP_METER_BUCKETS)
            put_seconds(out, sp_meter_bound_us[b]);
        else
            (void)sp_buf_puts(out, "+Inf");
        (void)sp_buf_printf(out, "\"} %" PRIu64 "\n", count);
    }
    for (unsigned i = 0; i < r->parts; i++)
        us += get(&sp_meters_part(r->meters, i)->reply_us);
    (void)sp_buf_printf(out, "%s_sum ", name);
    put_seconds(out, us);
    (void)sp_buf_printf(out, "\n%s_count %" PRIu64 "\n", name, count);
}

static void queue_state(const struct q *q, struct sp_buf *out)
{
    struct sp_sched_counts c;
    const struct {
        const char *state;
        size_t *n;
    } rows[] = {{"waiting", &c.waiting},
                {"ready", &c.ready},
                {"active", &c.out},
                {"held", &c.held}};
    uint64_t oldest_ms = 0, now_ms = sp_wall_ms();
    struct sp_err err;

    sp_sched_count(q->sched, &c);
    head(out, "sallyport_queue_jobs", "gauge",
         "What is to be delivered: a job is a message's recipients at one domain.");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        (void)sp_buf_printf(out, "sallyport_queue_jobs{state=\"%s\"} %zu\n",
                            rows[i].state, *rows[i].n);
    one(out, "sallyport_queue_destinations", "gauge",
        "Recipient domains of these jobs.", c.dests);
    (void)sp_spool_oldest(q->spool, &oldest_ms, &err); /* 0: nothing is in it */
    head(out, "sallyport_queue_oldest_seconds", "gauge",
         "Age of the oldest message in the queue; 0 when it is empty.");
    (void)sp_buf_puts(out, "sallyport_queue_oldest_seconds ");
    put_seconds(out, oldest_ms && now_ms > oldest_ms ? (now_ms - oldest_ms) * 1000 : 0);
    (void)sp_buf_puts(out, "\n");
}

int metrics_text(const struct q *q, struct sp_buf *out)
{
    const struct sp_role *r = q->role;

    head(out, "sallyport_build_info", "gauge", "Which version runs; always 1.");
    (void)sp_buf_puts(out, "sallyport_build_info{version=\"" SP_VERSION "\"} 1\n");
    one(out, "sallyport_start_time_seconds", "gauge",
        "When the service was started, in seconds since 1970.", r->service_started_s);
    one(out, "sallyport_configuration_generation", "gauge",
        "How often the configuration was read anew and came into force.",
        r->generation);
    events(r, out);
    meters_out(r, out);
    reply_times(r, out);
    queue_state(q, out);
    return out->n < out->max ? 0 : -SP_ELIMIT;
}

/* ---- HTTP, as little as a scraper needs ---- */

struct scrape {
    uv_poll_t poll;
    uv_timer_t end;
    struct q *q;
    int fd;
    unsigned handles;
    bool closing;
    struct sp_buf in, out;
    size_t sent;
};

static bool scrape_new(void *arg, int fd);

static struct sp_doors doors = {.max = SCRAPES_MAX, .guest = scrape_new};

static void scrape_closed(uv_handle_t *h)
{
    struct scrape *s = h->data;

    if (--s->handles)
        return;
    close(s->fd);
    sp_buf_free(&s->in);
    sp_buf_free(&s->out);
    sp_free(s);
    sp_doors_left(&doors);
}

static void scrape_close(struct scrape *s)
{
    if (s->closing)
        return;
    s->closing = true;
    uv_close((uv_handle_t *)&s->poll, scrape_closed);
    uv_close((uv_handle_t *)&s->end, scrape_closed);
}

static void on_scrape_end(uv_timer_t *t)
{
    scrape_close(t->data);
}

static bool begins(struct sp_str s, const char *with)
{
    size_t n = strlen(with);

    return s.n >= n && memcmp(s.p, with, n) == 0;
}

static void answer(struct scrape *s)
{
    struct sp_str line = sp_buf_view(&s->in), path;
    struct sp_buf text;
    const char *status = "200 OK";
    bool is_head = begins(line, "HEAD ");

    path = sp_str_cut(&line, '\n');
    (void)sp_str_cut(&path, ' ');
    path = sp_str_cut(&path, ' ');
    path = sp_str_cut(&path, '?');
    sp_buf_init(&text, TEXT_MAX);
    if (!is_head && !begins(sp_buf_view(&s->in), "GET "))
        status = "405 Method Not Allowed";
    else if (!sp_str_is(path, "/metrics"))
        status = "404 Not Found";
    else if (metrics_text(s->q, &text) < 0)
        status = "500 Internal Server Error";
    if (strncmp(status, "200", 3) != 0) {
        text.n = 0;
        (void)sp_buf_printf(&text, "%s; the metrics are at /metrics\n", status);
    }
    (void)sp_buf_printf(
        &s->out,
        "HTTP/1.1 %s\r\nContent-Type: text/plain; version=0.0.4; "
        "charset=utf-8\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
        status, text.n);
    if (!is_head)
        (void)sp_buf_str(&s->out, sp_buf_view(&text));
    sp_buf_free(&text);
}

static bool asked(const struct scrape *s)
{
    return s->in.n && (memmem(s->in.p, s->in.n, "\r\n\r\n", 4) ||
                       memmem(s->in.p, s->in.n, "\n\n", 2));
}

/* False: nothing more comes of it. */
static bool read_ask(struct scrape *s)
{
    char *room = sp_buf_room(&s->in, 1024);
    ssize_t n = room ? recv(s->fd, room, 1024, 0) : 0;

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    s->in.n += (size_t)n;
    if (asked(s))
        answer(s);
    return n > 0;
}

static bool write_answer(struct scrape *s)
{
    ssize_t n = send(s->fd, s->out.p + s->sent, s->out.n - s->sent, MSG_NOSIGNAL);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    s->sent += (size_t)n;
    if (s->sent < s->out.n)
        return true;
    (void)shutdown(s->fd, SHUT_WR);
    return false;
}

static void on_scrape(uv_poll_t *h, int status, int event)
{
    struct scrape *s = h->data;
    bool on = status == 0;

    if (on && s->out.n == 0 && event & UV_READABLE)
        on = read_ask(s);
    if (on && s->out.n)
        on = write_answer(s);
    if (!on)
        scrape_close(s);
    else if (s->out.n)
        (void)uv_poll_start(&s->poll, UV_WRITABLE, on_scrape);
}

static bool scrape_new(void *arg, int fd)
{
    struct q *q = arg;
    struct scrape *s = sp_alloc(sizeof *s);

    if (!s || uv_poll_init(&q->role->loop, &s->poll, fd) < 0) {
        sp_free(s);
        return false;
    }
    s->q = q;
    s->fd = fd;
    s->handles = 2;
    sp_buf_init(&s->in, ASK_MAX);
    sp_buf_init(&s->out, TEXT_MAX + 1024);
    uv_timer_init(&q->role->loop, &s->end);
    s->poll.data = s->end.data = s;
    uv_timer_start(&s->end, on_scrape_end, SCRAPE_MS, 0);
    (void)uv_poll_start(&s->poll, UV_READABLE, on_scrape);
    return true;
}

static bool named(const void *arg, const char *address)
{
    const struct sp_conf *c = arg;

    for (size_t i = 0; i < c->metrics.n; i++)
        if (strcmp(c->metrics.v[i].text, address) == 0)
            return true;
    return false;
}

void metrics_reconfigure(const struct sp_conf *c)
{
    sp_doors_keep(&doors, named, c);
}

int metrics_listen(struct sp_role *r, const char *address, int fd, struct sp_err *err)
{
    return sp_doors_open(&doors, &r->loop, address, fd, r->self, err);
}
