/*
 * collect.h - mail that users left while the service was down (src/cli/outbox.h).
 *
 *     sp_collect_start(&c, loop, root);
 *     sp_collect_now(&c, conf);          at start, at a reload; then by itself
 *     sp_collect_stop(&c);
 *
 * For each folder in `outbox` with something in it, whose owner is a user of this machine,
 * `sendmail -q` is started as that user, one at a time.  Whose it is tells the owner of the
 * folder, never its name.  This process reads nothing but the names in it.
 */
#ifndef SP_COLLECT_H
#define SP_COLLECT_H

#include "conf.h"

#include <uv.h>

enum { SP_COLLECT_USERS_MAX = 1000, SP_COLLECT_FOLDERS_MAX = 10000 };

struct sp_collect {
    uv_loop_t *loop;
    uv_timer_t every, late;
    uv_process_t proc;
    bool root; /* may become other users */
    bool running, stopped;
    struct sp_conf *conf;
    uint32_t uid[SP_COLLECT_USERS_MAX];
    size_t n, at;
};

void sp_collect_start(struct sp_collect *c, uv_loop_t *loop, bool root);
void sp_collect_now(struct sp_collect *c, struct sp_conf *conf);
void sp_collect_stop(struct sp_collect *c); /* closes its handles */

#endif
