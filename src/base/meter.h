/*
 * meter.h - what this process counts, where whoever writes the metrics can see it.
 *
 *     sp_meter_add(SP_METER_IN, n);
 *     sp_meter_reply(microseconds);                 how long a client waited for its 250
 *     m = sp_meters_map(fd, parts, &err);           memory that all processes share
 *     sp_meter_use(sp_meters_part(m, mine));        count there from now on
 *     sp_meters_part(m, i)->n[SP_METER_IN]          and what another one counted
 *
 * Each process writes only its own part, so there is no lock, and kill -9 of one leaves
 * nothing locked.  A part belongs to a role and its instance, not to a process: the next
 * process of that role goes on counting, so counters never go back while the service
 * runs.  Gauges are cleared by the supervisor when a process ends.
 *
 * The number of parts, events, meters and buckets is fixed: nothing that comes from
 * outside makes a new one.
 */
#ifndef SP_METER_H
#define SP_METER_H

#include "log.h"

#include <stdatomic.h>

struct sp_err;

/* id, name in Prometheus, type, help */
/* clang-format off */
#define SP_METERS(X)                                                                                     \
    X(SP_METER_SESSIONS,   "sallyport_sessions",                 "gauge",   "Sessions of clients that are open now.")        \
    X(SP_METER_IN,         "sallyport_received_octets_total",    "counter", "Octets from clients, inside TLS.")              \
    X(SP_METER_OUT,        "sallyport_sent_octets_total",        "counter", "Octets to clients, inside TLS.")                \
    X(SP_METER_CONTENT,    "sallyport_accepted_octets_total",    "counter", "Octets of messages that were acknowledged.")    \
    X(SP_METER_RECIPIENTS, "sallyport_accepted_recipients_total", "counter", "Recipients of messages that were acknowledged.") \
    X(SP_METER_IN_FLIGHT,  "sallyport_deliveries",               "gauge",   "Deliveries under way now.")
/* clang-format on */

enum sp_meter_id {
#define SP_METER_ROW(id, name, type, help) id,
    SP_METERS(SP_METER_ROW)
#undef SP_METER_ROW
        SP_METER_COUNT
};

enum { SP_METER_BUCKETS = 14, SP_METER_PARTS_MAX = 256 };
extern const uint32_t
    sp_meter_bound_us[SP_METER_BUCKETS]; /* upper ends; then infinity */

struct sp_meter {
    _Atomic uint64_t event[SP_LOG_EVENTS];
    _Atomic uint64_t n[SP_METER_COUNT];
    _Atomic uint64_t reply[SP_METER_BUCKETS + 1]; /* not cumulative */
    _Atomic uint64_t reply_us;
};

/* Of this process; never NULL. */
extern struct sp_meter *sp_meter;

static inline void sp_meter_add(enum sp_meter_id id, uint64_t n)
{
    atomic_fetch_add_explicit(&sp_meter->n[id], n, memory_order_relaxed);
}
static inline void sp_meter_set(enum sp_meter_id id, uint64_t n)
{
    atomic_store_explicit(&sp_meter->n[id], n, memory_order_relaxed);
}
void sp_meter_reply(uint64_t us);

/* Counts in `part` from here on, what was counted so far included. */
void sp_meter_use(struct sp_meter *part);
/* A process ended: what it had open is closed. */
void sp_meter_ended(struct sp_meter *part);

struct sp_meters;
int sp_meters_make(unsigned parts, int *ret_fd, struct sp_err *err); /* supervisor */
struct sp_meters *sp_meters_map(int fd, unsigned parts, struct sp_err *err);
struct sp_meter *sp_meters_part(struct sp_meters *m,
                                unsigned i); /* NULL: there is none */
unsigned sp_meters_count(const struct sp_meters *m);
void sp_meters_free(struct sp_meters *m); /* NULL is fine; no part may be in use */

#endif
