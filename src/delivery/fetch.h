/*
 * fetch.h - a program that prints a secret, run without waiting for it.
 *
 *     f = sp_fetch_start(loop, argv, 30000, done, arg, &err);
 *     done(arg, "the first line", NULL) or done(arg, {NULL, 0}, &err)     once, later
 *     sp_fetch_cancel(f);                   before that: done() is never called
 *
 * argv[0] is an absolute path; there is no shell, so no word of the configuration means
 * anything but itself.  The program gets no descriptor of ours but /dev/null and a pipe,
 * may print at most SP_FETCH_MAX octets, and is killed with what it started when its time
 * is over.  What it printed is wiped after done(); an exit status other than 0 is a
 * failure, whatever was printed.
 */
#ifndef SP_FETCH_H
#define SP_FETCH_H

#include <sallyport/types.h>
#include <uv.h>

enum { SP_FETCH_MAX = 16384, SP_FETCH_WORDS = 64 };

struct sp_fetch;
typedef void sp_fetch_done(void *arg, struct sp_str line, const struct sp_err *err);

struct sp_fetch *sp_fetch_start(uv_loop_t *loop, const char *const *argv, size_t n,
                                unsigned timeout_ms, sp_fetch_done *done, void *arg,
                                struct sp_err *err);
void sp_fetch_cancel(struct sp_fetch *f); /* NULL is fine */

#endif
