/*
 * material.h - what roles cannot open themselves: keys, CA files, passwords.
 *
 * The supervisor reads it all at start and at each reload, checks that it fits together,
 * and gives each role only its share: private keys of listeners to server, the material
 * of routes to delivery, that of oauth sections and aliases to auth, DKIM keys to queue,
 * alias files to local: it runs no command that they do not name.
 */
#ifndef SP_MATERIAL_H
#define SP_MATERIAL_H

#include "conf.h"
#include "frame.h"

struct sp_material;

/* Reads everything the configuration names.  NULL: *all* problems, one a line, are in
 * `problems`; warnings (an expired certificate ...) are there too on success. */
struct sp_material *sp_material_read(const struct sp_conf *c, struct sp_buf *problems);
void sp_material_free(struct sp_material *m); /* wipes */

/* The TLS context of a listener, as the server role makes it: also judges certificates. */
struct sp_tls_ctx;
int sp_material_tls(const struct sp_material *m, const struct sp_conf_listener *l,
                    struct sp_tls_ctx **ret, struct sp_err *err);

/* Points s->key and s->file at the role's share; valid while m lives and until the next
 * call for the same s.  -SP_ENOMEM. */
int sp_material_share(const struct sp_material *m, Sp__Role role, Sp__Setup *s);
void sp_material_unshare(Sp__Setup *s);

/* The fingerprint of all file times and sizes: differs when something changed on disk.
 * m: what was read before, which names the lists of alias files; may be NULL. */
uint64_t sp_material_stamp(const struct sp_conf *c, const struct sp_material *m);

#endif
