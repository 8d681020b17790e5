/* t_auth.h - what the tests of this folder share: a users database in a directory of
 * its own, removed afterwards. */
#ifndef SP_T_AUTH_H
#define SP_T_AUTH_H

#include "t.h"
#include "users.h"

#include <stdlib.h>
#include <unistd.h>

#define S(x) sp_str(x)

static char t_dir[64], t_path[96];
static struct sp_err e; /* the reason of the last failure */

static inline void make_dir(void)
{
    snprintf(t_dir, sizeof t_dir, "/tmp/t_auth.XXXXXX");
    CHECK(mkdtemp(t_dir) != NULL);
    snprintf(t_path, sizeof t_path, "%s/users.db", t_dir);
}

static inline void remove_dir(void)
{
    char cmd[128];

    snprintf(cmd, sizeof cmd, "rm -rf '%s'", t_dir);
    CHECK(system(cmd) == 0);
}

static inline struct sp_users *fresh(void)
{
    struct sp_users *u = NULL;

    make_dir();
    CHECK(sp_users_open(t_path, SP_USERS_WRITE, &u, &e) == 0);
    return u;
}

static inline void done(struct sp_users *u)
{
    sp_users_close(u);
    remove_dir();
}

#define OK(call)                                                                       \
    do {                                                                               \
        int t_rc = (call);                                                             \
        if (t_rc != 0) {                                                               \
            t_bad++;                                                                   \
            printf("%s:%d: %s gave %d: %s\n", __FILE__, __LINE__, #call, t_rc,         \
                   e.text);                                                            \
        }                                                                              \
    } while (0)

#endif
