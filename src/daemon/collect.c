/* collect.c - see collect.h. */
#include "collect.h"

#include <dirent.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    EVERY_MS = 5 * 60 * 1000,
    LONGEST_MS = 10 * 60 * 1000, /* for the mail of one user */
};

static void next_user(struct sp_collect *c);

/* Something with the suffix of a message: what else lies there is not ours. */
static bool has_mail(int fd)
{
    DIR *d = fdopendir(fd);
    bool is = false;

    if (!d) {
        close(fd);
        return false;
    }
    for (struct dirent *e; !is && (e = readdir(d));) {
        size_t n = strlen(e->d_name);

        is = e->d_name[0] != '.' && n > 4 && strcmp(e->d_name + n - 4, ".msg") == 0;
    }
    closedir(d);
    return is;
}

static bool known(const struct sp_collect *c, uint32_t uid)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->uid[i] == uid)
            return true;
    return false;
}

static void look(struct sp_collect *c)
{
    DIR *d = opendir(c->conf->outbox);
    size_t seen = 0;

    c->n = c->at = 0;
    if (!d)
        return;
    for (struct dirent *e; c->n < SP_COLLECT_USERS_MAX &&
                           seen++ < SP_COLLECT_FOLDERS_MAX && (e = readdir(d));) {
        int fd = e->d_name[0] == '.'
                     ? -1
                     : openat(dirfd(d), e->d_name,
                              O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        struct stat st;
        bool wanted = fd >= 0 && fstat(fd, &st) == 0 && !known(c, st.st_uid) &&
                      (c->root || st.st_uid == geteuid());

        if (!wanted && fd >= 0)
            close(fd);
        if (wanted && has_mail(fd))
            c->uid[c->n++] = st.st_uid;
    }
    closedir(d);
}

static void on_closed(uv_handle_t *h)
{
    struct sp_collect *c = h->data;

    c->running = false;
    if (!c->stopped)
        next_user(c);
}

static void on_exit_(uv_process_t *p, int64_t status, int sig)
{
    struct sp_collect *c = p->data;

    sp_log(SP_LOG_COLLECTED, "", SP_KVU("uid", c->uid[c->at - 1]),
           SP_KVU("status", sig ? 128u + (unsigned)sig : (uint64_t)status));
    uv_timer_stop(&c->late);
    uv_close((uv_handle_t *)p, on_closed);
}

static void on_late(uv_timer_t *t)
{
    struct sp_collect *c = t->data;

    if (c->running)
        (void)uv_process_kill(&c->proc, SIGKILL);
}

static const char *local_socket(const struct sp_conf *c)
{
    for (size_t i = 0; i < c->n_listeners; i++)
        if (c->listeners[i].type == SP_CONF_LOCAL)
            return c->listeners[i].address.v[0].host;
    return NULL;
}

/* Nothing of this process comes along but the log: not its environment, no group. */
static int spawn(struct sp_collect *c, uint32_t uid)
{
    struct passwd *pw = getpwuid(uid);
    char name[] = "sendmail", option[] = "-O", flush[] = "-q", path[] = "PATH=/usr/bin:/bin";
    char local[200], outbox[4200];
    char *args[] = {name, option, local, option, outbox, flush, NULL};
    char *env[] = {path, NULL};
    uv_stdio_container_t io[3] = {{.flags = UV_IGNORE},
                                  {.flags = UV_INHERIT_FD, .data.fd = 2},
                                  {.flags = UV_INHERIT_FD, .data.fd = 2}};
    uv_process_options_t o = {.exit_cb = on_exit_,
                              .file = "/proc/self/exe",
                              .args = args,
                              .env = env,
                              .cwd = "/",
                              .stdio_count = 3,
                              .stdio = io};

    const char *to = local_socket(c->conf);

    if (!pw || !to) /* somebody who is gone, or nowhere to go */
        return -1;
    snprintf(local, sizeof local, "LocalSocket=%s", to);
    snprintf(outbox, sizeof outbox, "Outbox=%s", c->conf->outbox);
    if (c->root) {
        o.flags = UV_PROCESS_SETUID | UV_PROCESS_SETGID;
        o.uid = uid;
        o.gid = pw->pw_gid;
    }
    c->proc.data = c;
    if (uv_spawn(c->loop, &c->proc, &o) < 0) {
        c->running = true;
        uv_close((uv_handle_t *)&c->proc, on_closed);
        return 0;
    }
    c->running = true;
    uv_timer_start(&c->late, on_late, LONGEST_MS, 0);
    return 0;
}

static void next_user(struct sp_collect *c)
{
    while (!c->running && c->at < c->n)
        if (spawn(c, c->uid[c->at++]) < 0)
            continue;
}

static void on_every(uv_timer_t *t)
{
    struct sp_collect *c = t->data;

    if (c->running || !c->conf || !c->conf->outbox)
        return;
    look(c);
    next_user(c);
}

void sp_collect_start(struct sp_collect *c, uv_loop_t *loop, bool root)
{
    memset(c, 0, sizeof *c);
    c->loop = loop;
    c->root = root;
    uv_timer_init(loop, &c->every);
    uv_timer_init(loop, &c->late);
    c->every.data = c->late.data = c;
}

void sp_collect_now(struct sp_collect *c, struct sp_conf *conf)
{
    sp_conf_unref(c->conf);
    c->conf = sp_conf_ref(conf);
    uv_timer_start(&c->every, on_every, 0, EVERY_MS);
}

void sp_collect_stop(struct sp_collect *c)
{
    c->stopped = true;
    if (c->running)
        (void)uv_process_kill(&c->proc, SIGTERM);
    uv_close((uv_handle_t *)&c->every, NULL);
    uv_close((uv_handle_t *)&c->late, NULL);
    sp_conf_unref(c->conf);
    c->conf = NULL;
}
