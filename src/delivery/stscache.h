/*
 * stscache.h - MTA-STS policies on disk: one small file a domain, DIR/DOMAIN.
 *
 *     sp_sts_cache_put(dir, "example.org", text, &err);   text: sp_sts_store()
 *     sp_sts_cache_get(dir, "example.org", &buf)          0; -SP_ENOENT: none that is good
 *     sp_sts_cache_sweep(dir, now_s, &left);              removes what has expired
 *
 * A policy may be needed just when it can no longer be fetched, because somebody is in the
 * way (RFC 8461 10.2): so it outlives restarts.  An administrator may remove a file; then
 * the policy is forgotten.  Whoever writes (the queue role) owns the directory.
 */
#ifndef SP_STSCACHE_H
#define SP_STSCACHE_H

#include "stspolicy.h"

enum {
    SP_STS_CACHE_MAX = 100000, /* files; behind that nothing new is kept */
    SP_STS_DIR_MAX = 4200,
};

/* The folder below a data directory. */
void sp_sts_cache_dir(const char *data, char out[SP_STS_DIR_MAX]);
int sp_sts_cache_put(const char *dir, const char *domain, struct sp_str text,
                     struct sp_err *err);
int sp_sts_cache_get(const char *dir, const char *domain, struct sp_buf *out);
/* Returns how many were removed. */
size_t sp_sts_cache_sweep(const char *dir, uint64_t now_s, size_t *ret_left);

#endif
