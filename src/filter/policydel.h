/*
 * policydel.h - Postfix's policy delegation protocol, the mail server's side, without I/O.
 *
 *     sp_policy_ask(&out, "sender", value);    name=value lines, then
 *     sp_policy_ask_end(&out);                 an empty one
 *     struct sp_policy_reader r = {0};
 *     n = sp_policy_feed(&r, octets);          until r.done or r.bad
 *     sp_policy_action(sp_str_of(r), &action); what the first action= line means
 *
 * A reply is lines name=value up to an empty line; lines other than action are ignored.
 * What the service says is untrusted: an action that is unknown, or whose argument makes
 * no sense, is SP_PA_UNKNOWN, and the caller refuses for the time being.
 */
#ifndef SP_POLICYDEL_H
#define SP_POLICYDEL_H

#include "text.h"

enum {
    SP_POLICY_REPLY_MAX = 4096,
    SP_POLICY_ASK_MAX = 64 << 10,
};

enum sp_policy_kind {
    SP_PA_DUNNO,   /* ask the next one */
    SP_PA_OK,      /* the recipient is fine, ask nobody else */
    SP_PA_REFUSE,  /* code, enh, text */
    SP_PA_PREPEND, /* a header field: text */
    SP_PA_HOLD,
    SP_PA_DISCARD,
    SP_PA_WARN,     /* to the log: text.  INFO likewise */
    SP_PA_REDIRECT, /* all recipients become text */
    SP_PA_BCC,      /* one recipient more: text */
    SP_PA_UNKNOWN,
};

struct sp_policy_action {
    enum sp_policy_kind kind;
    int code, enh[3];   /* REFUSE: 4xx or 5xx, 421 closes */
    struct sp_str text; /* points into what was parsed */
};

/* One attribute; octets below 32 in the value become blanks (a line would be two).
 * Returns what sp_buf_put() returned. */
int sp_policy_ask(struct sp_buf *out, const char *name, struct sp_str value);
int sp_policy_ask_end(struct sp_buf *out);

struct sp_policy_reader {
    char line[SP_POLICY_REPLY_MAX];
    size_t n, seen;
    char action[SP_POLICY_REPLY_MAX]; /* NUL-terminated */
    bool has_action, done, bad;
};

/* Takes octets up to the end of the reply; returns how many.  bad: too long, or it ended
 * without an action. */
size_t sp_policy_feed(struct sp_policy_reader *r, struct sp_str in);
void sp_policy_action(struct sp_str action, struct sp_policy_action *ret);

#endif
