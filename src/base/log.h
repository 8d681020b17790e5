/*
 * log.h - one line per fact an operator would act on.
 *
 *     sp_log(SP_LOG_LOGIN_OK, session, SP_KV("user", user), SP_KVU("port", 587));
 *
 * The event table (events.h) is the only place where events are named; logs and
 * metrics both come from it.  A line goes out by one write(2), text or JSON, and is
 * at most SP_LOG_LINE_MAX octets: longer values are cut.  Values are escaped; no
 * password, token or message body is ever a value.
 *
 * Library folders do not log; `daemon` and `cli` do, once, where the decision is made.
 */
#ifndef SP_LOG_H
#define SP_LOG_H

#include "events.h"
#include "text.h"

#define SP_LOG_LINE_MAX 4000

enum sp_level { SP_LEVEL_ERROR, SP_LEVEL_WARNING, SP_LEVEL_INFO, SP_LEVEL_DEBUG };

enum sp_log_event {
#define SP_EVENT_ID(id, name, level, doc) id,
    SP_EVENTS(SP_EVENT_ID)
#undef SP_EVENT_ID
        SP_LOG_EVENTS /* how many */
};

struct sp_kv {
    const char *key;
    struct sp_str text;
    uint64_t number;
    bool is_number;
};
#define SP_KV(k, str)   ((struct sp_kv){.key = (k), .text = (str)})
#define SP_KVS(k, cstr) ((struct sp_kv){.key = (k), .text = sp_str(cstr)})
#define SP_KVU(k, u)    ((struct sp_kv){.key = (k), .number = (u), .is_number = true})

/* session: "" or NULL when the fact belongs to none. */
#define sp_log(ev, session, ...)                                                       \
    sp_log_put(ev, session,                                                            \
               /* the first one only so that there may be no other */                  \
               &(const struct sp_kv[]){{.key = ""}, ##__VA_ARGS__, {.key = NULL}}[1])

void sp_log_put(enum sp_log_event ev, const char *session, const struct sp_kv *kv);

/* fd -1 silences the log.  `role` is copied and names this process in each line. */
void sp_log_setup(int fd, bool json, enum sp_level least, const char *role);
bool sp_log_wants(enum sp_level level);

const char *sp_log_name(enum sp_log_event ev);
enum sp_level sp_log_level(enum sp_log_event ev);
const char *sp_log_doc(enum sp_log_event ev);
uint64_t sp_log_total(enum sp_log_event ev); /* as meter.h counts for this process */

#endif
