/*
 * gss.h - the SASL mechanism GSSAPI (RFC 4752: Kerberos), server and client.
 *
 * Apart from sallyport/sasl.h because it is not without I/O: the library behind it reads
 * key tables and credential caches, writes a replay cache and asks KDCs, and each step
 * may block.  An event loop takes its steps in a thread.
 *
 *     sp_gss_server_new(keytab, "smtp@mail.example.org", NULL, &g, &err);
 *     st = sp_gss_step(g, token, &out, &err);      token.p NULL: no initial response
 *     SP_SASL_CONTINUE: send `out`, feed what comes back; SP_SASL_DONE: proved, no token
 *     SP_SASL_FAILED:   err: SP_EINPUT malformed, SP_EDENIED not proved
 *     sp_gss_principal(g), sp_gss_authorization_identity(g)     after SP_SASL_DONE only
 *     sp_gss_free(g);
 *
 * The client (sp_gss_client_new) wants mutual authentication: at SP_SASL_DONE, which
 * comes with the last token, the server has proved that it holds the service's key.
 * No security layer is offered or taken: TLS is around it.
 *
 * Memory: what is handed in is copied; `out` is appended to.  A failure is sticky.
 * The caller must not: step one object from two threads at once; take a principal for an
 * account (realms differ); use it without TLS, which has the secrecy.
 */
#ifndef SP_GSS_H
#define SP_GSS_H

#include <sallyport/sasl.h>

#include "buf.h"

#define SP_GSS_NAME_MAX 1024

struct sp_gss;

bool sp_gss_built(void); /* false: every *_new gives -SP_ENOENT */

/* keytab: a file's name; principal: "smtp@host" or "smtp/host@REALM", NULL: any key of
 * the table.  replay_cache: "file2:" and the name of a file that this process may make and
 * write, where tickets are remembered so that none counts twice; NULL: the library's own
 * choice, a file in TMPDIR.  -SP_ENOENT no such key, or not built in; -SP_ENOMEM. */
int sp_gss_server_new(const char *keytab, const char *principal, const char *replay_cache,
                      struct sp_gss **ret_g, struct sp_err *err);
/* host: of the service smtp@host.  authzid empty: the ticket's own identity. */
int sp_gss_client_new(const char *host, struct sp_str authzid, struct sp_gss **ret_g,
                      struct sp_err *err);
enum sp_sasl_status sp_gss_step(struct sp_gss *g, struct sp_str token,
                                struct sp_buf *out, struct sp_err *err);
/* "alice@EXAMPLE.ORG", as the library prints it. */
struct sp_str sp_gss_principal(const struct sp_gss *g);
struct sp_str sp_gss_authorization_identity(const struct sp_gss *g);
void sp_gss_free(struct sp_gss *g); /* NULL is fine */

/* The name to look an account up by: the principal, without its realm when that is one of
 * `strip`.  -SP_ELIMIT.  An instance ("alice/admin") stays what it is: another name. */
int sp_gss_account(struct sp_str principal, const char *const *strip, size_t n,
                   char *out, size_t cap);

#endif
