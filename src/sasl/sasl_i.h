/*
 * sasl_i.h - what the files of this folder share.  Everybody else: sallyport/sasl.h.
 *
 * An exchange is in one of these states; what may be trusted in each:
 *
 *     START      nothing
 *     WANT_KEY   server: the peer's claim (user, authorization identity), unproved
 *     FINAL      server: our challenge is out.  client: our first token is out
 *     VERIFY     client: our proof is out, the server has proved nothing
 *     DONE       both (SCRAM) or one side (CRAM-MD5) proved
 *     FAILED     nothing; sticky
 */
#ifndef SP_SASL_I_H
#define SP_SASL_I_H

#include <sallyport/sasl.h>

#include "buf.h"
#include "secret.h"

enum sp_sasl_state {
    SP_SASL_ST_START,
    SP_SASL_ST_WANT_KEY,
    SP_SASL_ST_FINAL,
    SP_SASL_ST_VERIFY,
    SP_SASL_ST_DONE,
    SP_SASL_ST_FAILED,
};

struct sp_sasl_mech {
    const char *name;
    enum sp_sasl_status (*server)(struct sp_sasl *s, struct sp_str token);
    enum sp_sasl_status (*client)(struct sp_sasl *s, struct sp_str token);
    bool client_first;
    bool scram;
    bool plus;
    enum sp_scram_hash hash;
};

struct sp_sasl {
    const struct sp_sasl_mech *mech;
    enum sp_sasl_state state;
    bool is_server;
    bool plus_listed;
    bool require_binding;
    bool bound;
    bool nonce_fixed; /* tests with published vectors */
    struct sp_err err;

    struct sp_buf user;
    struct sp_buf authzid;
    struct sp_secret *password; /* client, prepared */
    struct sp_buf exporter;     /* channel binding data, empty: none */
    struct sp_buf unique;
    struct sp_buf out; /* the token handed out last */

    /* SCRAM.  AuthMessage is first_bare "," server_first "," final without proof. */
    struct sp_buf gs2;   /* gs2-header as sent, then the binding data */
    struct sp_buf nonce; /* client part, then both */
    struct sp_buf first_bare;
    struct sp_buf server_first;
    struct sp_scram_verifier v;                 /* server */
    uint8_t server_signature[SP_SCRAM_KEY_MAX]; /* client: what must come */

    /* CRAM-MD5 */
    struct sp_buf challenge;
    uint8_t digest[16];
};

enum sp_sasl_status sp_scram_server(struct sp_sasl *s, struct sp_str token);
enum sp_sasl_status sp_scram_client(struct sp_sasl *s, struct sp_str token);
enum sp_sasl_status sp_cram_server(struct sp_sasl *s, struct sp_str token);
enum sp_sasl_status sp_cram_client(struct sp_sasl *s, struct sp_str token);
enum sp_sasl_status sp_cram_secret(struct sp_sasl *s, struct sp_str secret);
enum sp_sasl_status sp_cram_context(struct sp_sasl *s, const uint8_t *context);
enum sp_sasl_status sp_scram_given(struct sp_sasl *s);

/* The only place that enters FAILED; returns SP_SASL_FAILED. */
enum sp_sasl_status sp_sasl_fail(struct sp_sasl *s, enum sp_class cls,
                                 enum sp_code code, const char *fmt, ...)
    SP_PRINTF(4, 5);
enum sp_sasl_status sp_sasl_malformed(struct sp_sasl *s, const char *what);
enum sp_sasl_status sp_sasl_nomem(struct sp_sasl *s);
void sp_sasl_enter(struct sp_sasl *s, enum sp_sasl_state state);

/* The nonce this side adds, for the vectors of the RFCs; otherwise it is random. */
void sp_sasl_fix_nonce(struct sp_sasl *s, struct sp_str nonce);

/* ---- scram_msg.c: pieces of messages and of arithmetic ---- */

size_t sp_scram_len(enum sp_scram_hash hash); /* octets of a key */

/* Takes "X=value" off *rest, X being `name`.  -SP_EINPUT when it is not there, the
 * value is empty, not UTF-8, or a comma ends the text. */
int sp_scram_attr(struct sp_str *rest, char name, struct sp_str *ret_value);
/* The attributes behind those we know: well-formed, none of them mandatory ("m"). */
int sp_scram_extensions(struct sp_str rest);
bool sp_scram_nonce_ok(struct sp_str nonce);
/* 18 random octets as base64 (or the fixed nonce) behind what s->nonce holds. */
int sp_scram_add_nonce(struct sp_sasl *s);
int sp_scram_put_saslname(struct sp_buf *b, struct sp_str name);
int sp_scram_get_saslname(struct sp_str in, struct sp_buf *ret_name);

int sp_hmac(enum sp_scram_hash hash, const void *key, size_t key_len, struct sp_str msg,
            uint8_t *out);
int sp_hash(enum sp_scram_hash hash, const void *p, size_t n, uint8_t *out);
int sp_scram_salted(enum sp_scram_hash hash, struct sp_str prepared, struct sp_str salt,
                    uint32_t iterations, uint8_t *out);
/* AuthMessage into *b. */
int sp_scram_auth_message(struct sp_sasl *s, struct sp_str without_proof,
                          struct sp_buf *b);
int sp_put_base64(struct sp_buf *b, const void *p, size_t n);

/* How often PBKDF2 ran in this thread: tests of the timing class count work. */
unsigned long sp_scram_work(void);

#endif
