/* f_log.c - a log line is one line, of bounded length, and what it quotes cannot forge
 * another one nor steer a terminal; a line of JSON is JSON. */
#include "fz.h"

#include "log.h"

#include <jansson.h>
#include <sys/mman.h>
#include <unistd.h>

static int sink = -1;

static void look_at_json(const char *line, size_t n, const struct sp_kv *kv)
{
    json_error_t e;
    json_t *j = json_loadb(line, n, JSON_ALLOW_NUL, &e);

    if (!j)
        fprintf(stderr, "%s at %d: %.*s", e.text, e.position, (int)n, line);
    FZ_MUST(j && json_is_object(j), "a line of JSON is JSON");
    for (; kv->key; kv++)
        FZ_MUST(json_object_get(j, kv->key), "every key is in the line");
    json_decref(j);
}

static void look(bool json, const struct sp_kv *kv)
{
    static char line[8 * SP_LOG_LINE_MAX];
    ssize_t n = pread(sink, line, sizeof line, 0);

    FZ_MUST(n > 0, "an event makes a line");
    FZ_MUST((size_t)n <= SP_LOG_LINE_MAX, "a line is at most SP_LOG_LINE_MAX octets");
    FZ_MUST(line[n - 1] == '\n', "a line ends");
    for (ssize_t i = 0; i < n - 1; i++) {
        unsigned char c = (unsigned char)line[i];

        FZ_MUST(c >= 32 && c != 127, "no control octet is in a line");
        FZ_MUST(c != 0xc2 || (unsigned char)line[i + 1] >= 0xa0, "nor a C1 control");
    }
    FZ_MUST(sp_utf8_valid((struct sp_str){line, (size_t)n}), "a line is UTF-8");
    if (json)
        look_at_json(line, (size_t)n, kv);
}

FZ_TARGET
{
    static const char *const keys[] = {"user", "reason", "from",
                                       "to",   "reply",  "where"};
    struct fz f = {data, size};
    struct sp_kv kv[7] = {{0}};
    unsigned flags = fz_byte(&f), n = 0;
    enum sp_log_event ev = fz_byte(&f) % SP_LOG_EVENTS;

    while (n < 6 && f.n) {
        kv[n] = SP_KV(keys[n], fz_line(&f));
        n++;
    }
    if (sink < 0)
        sink = memfd_create("log", MFD_CLOEXEC);
    (void)!ftruncate(sink, 0);
    (void)lseek(sink, 0, SEEK_SET);
    sp_log_setup(sink, flags & 1, SP_LEVEL_DEBUG, "server");
    sp_log_put(ev, flags & 2 ? "s1-7" : NULL, kv);
    look(flags & 1, kv);
    return 0;
}
