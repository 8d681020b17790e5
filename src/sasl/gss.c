/*
 * gss.c - see gss.h.
 *
 *     server: CONTEXT --tokens--> [EMPTY -->] LAYERS --wrapped choice--> DONE
 *     client: CONTEXT --tokens--> LAYERS --wrapped offer, wrapped choice--> DONE
 *
 * RFC 4752 3.1 to 3.3.  The offer and the choice are four octets: a set of security
 * layers, of which 1 means none, and the largest wrapped message, 0 without a layer; in
 * the choice the authorization identity follows.
 */
#include "gss.h"

#include "alloc.h"
#include "err.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

int sp_gss_account(struct sp_str principal, const char *const *strip, size_t n,
                   char *out, size_t cap)
{
    struct sp_str name = principal;

    for (size_t i = principal.n; i > 0; i--)
        if (principal.p[i - 1] == '@') {
            struct sp_str realm = {principal.p + i, principal.n - i};

            for (size_t k = 0; k < n; k++) /* realms have case (RFC 4120 6.1) */
                if (sp_str_is(realm, strip[k]))
                    name.n = i - 1;
            break;
        }
    if (name.n >= cap)
        return -SP_ELIMIT;
    memcpy(out, name.p, name.n);
    out[name.n] = '\0';
    return (int)name.n;
}

#ifdef SP_HAVE_GSSAPI
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>

enum { NO_LAYER = 1, TOKENS_MAX = 10 };
enum state { CONTEXT, EMPTY, LAYERS, DONE, FAILED };

struct sp_gss {
    bool server;
    enum state state;
    unsigned tokens;
    gss_ctx_id_t ctx;
    gss_cred_id_t cred;
    gss_name_t target;
    struct sp_buf principal, authzid;
};

bool sp_gss_built(void)
{
    return true;
}

static void words_of(OM_uint32 status, int type, char *out, size_t cap)
{
    OM_uint32 minor, more = 0;
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;

    out[0] = '\0';
    if (gss_display_status(&minor, status, type, GSS_C_NO_OID, &more, &text) ==
        GSS_S_COMPLETE)
        snprintf(out, cap, "%.*s", (int)text.length, (const char *)text.value);
    (void)gss_release_buffer(&minor, &text);
}

static int trouble(struct sp_err *err, enum sp_code code, const char *what,
                   OM_uint32 major, OM_uint32 minor)
{
    char a[200], b[200];

    words_of(major, GSS_C_GSS_CODE, a, sizeof a);
    words_of(minor, GSS_C_MECH_CODE, b, sizeof b);
    return sp_err_set(err, SP_CLASS_PEER, code, "Kerberos: %s: %s: %s", what, a, b);
}

static enum sp_sasl_status failed(struct sp_gss *g)
{
    g->state = FAILED;
    return SP_SASL_FAILED;
}

static enum sp_sasl_status malformed(struct sp_gss *g, const char *what,
                                     struct sp_err *err)
{
    (void)sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "GSSAPI: malformed %s", what);
    return failed(g);
}

static enum sp_sasl_status refused(struct sp_gss *g, const char *what, OM_uint32 major,
                                   OM_uint32 minor, struct sp_err *err)
{
    (void)trouble(err, SP_EDENIED, what, major, minor);
    return failed(g);
}

static int import(const char *text, gss_name_t *ret, struct sp_err *err)
{
    gss_buffer_desc b = {strlen(text), (void *)(uintptr_t)text};
    OM_uint32 minor, major = gss_import_name(
                         &minor, &b,
                         strchr(text, '/') ? (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME
                                           : GSS_C_NT_HOSTBASED_SERVICE,
                         ret);

    return GSS_ERROR(major) ? trouble(err, SP_EINPUT, text, major, minor) : 0;
}

static struct sp_gss *fresh(bool server)
{
    struct sp_gss *g = sp_alloc(sizeof *g);

    if (!g)
        return NULL;
    g->server = server;
    g->ctx = GSS_C_NO_CONTEXT;
    g->cred = GSS_C_NO_CREDENTIAL;
    g->target = GSS_C_NO_NAME;
    sp_buf_init(&g->principal, SP_GSS_NAME_MAX);
    sp_buf_init(&g->authzid, SP_GSS_NAME_MAX);
    return g;
}

int sp_gss_server_new(const char *keytab, const char *principal, const char *replay_cache,
                      struct sp_gss **ret_g, struct sp_err *err)
{
    gss_key_value_element_desc at[] = {{"keytab", keytab}, {"rcache", replay_cache}};
    gss_key_value_set_desc store = {replay_cache ? 2 : 1, at};
    gss_OID_set_desc krb5 = {1, (gss_OID)gss_mech_krb5};
    struct sp_gss *g = fresh(true);
    OM_uint32 major, minor;
    int rc = 0;

    if (!g)
        return sp_err_nomem(err);
    if (principal)
        rc = import(principal, &g->target, err);
    if (rc == 0) {
        major = gss_acquire_cred_from(&minor, g->target, GSS_C_INDEFINITE, &krb5,
                                      GSS_C_ACCEPT, &store, &g->cred, NULL, NULL);
        if (GSS_ERROR(major))
            rc = trouble(err, SP_ENOENT, keytab, major, minor);
    }
    if (rc < 0)
        sp_gss_free(g);
    else
        *ret_g = g;
    return rc;
}

int sp_gss_client_new(const char *host, struct sp_str authzid, struct sp_gss **ret_g,
                      struct sp_err *err)
{
    struct sp_gss *g = fresh(false);
    char service[300];
    int rc;

    if (!g)
        return sp_err_nomem(err);
    snprintf(service, sizeof service, "smtp@%s", host);
    rc = import(service, &g->target, err);
    if (rc == 0 && sp_buf_str(&g->authzid, authzid) < 0)
        rc = sp_err_set(err, SP_CLASS_PEER, SP_ELIMIT,
                        "the authorization identity is too long");
    if (rc < 0)
        sp_gss_free(g);
    else
        *ret_g = g;
    return rc;
}

void sp_gss_free(struct sp_gss *g)
{
    OM_uint32 minor;

    if (!g)
        return;
    (void)gss_delete_sec_context(&minor, &g->ctx, GSS_C_NO_BUFFER);
    (void)gss_release_cred(&minor, &g->cred);
    (void)gss_release_name(&minor, &g->target);
    sp_buf_free(&g->principal);
    sp_buf_free(&g->authzid);
    sp_free(g);
}

struct sp_str sp_gss_principal(const struct sp_gss *g)
{
    return sp_buf_view(&g->principal);
}

struct sp_str sp_gss_authorization_identity(const struct sp_gss *g)
{
    return sp_buf_view(&g->authzid);
}

/* ---- wrapped messages ---- */

static enum sp_sasl_status wrap(struct sp_gss *g, const char head[4], struct sp_str rest,
                                struct sp_buf *out, struct sp_err *err)
{
    char plain[4 + SP_GSS_NAME_MAX];
    gss_buffer_desc in = {4 + rest.n, plain}, sealed = GSS_C_EMPTY_BUFFER;
    OM_uint32 major, minor, ignored;
    int rc;

    memcpy(plain, head, 4);
    if (rest.n)
        memcpy(plain + 4, rest.p, rest.n);
    major = gss_wrap(&minor, g->ctx, 0, GSS_C_QOP_DEFAULT, &in, NULL, &sealed);
    if (GSS_ERROR(major))
        return refused(g, "wrapping", major, minor, err);
    rc = sp_buf_put(out, sealed.value, sealed.length);
    (void)gss_release_buffer(&ignored, &sealed);
    if (rc < 0) {
        (void)sp_err_nomem(err);
        return failed(g);
    }
    return SP_SASL_CONTINUE;
}

/* Into plain, at most cap octets; the length or -1 with the reason in *err. */
static int unwrap(struct sp_gss *g, struct sp_str token, char *plain, size_t cap,
                  struct sp_err *err)
{
    gss_buffer_desc in = {token.n, (void *)(uintptr_t)token.p}, out = GSS_C_EMPTY_BUFFER;
    OM_uint32 major, minor, ignored;
    int n = -1;

    major = gss_unwrap(&minor, g->ctx, &in, &out, NULL, NULL);
    if (GSS_ERROR(major)) {
        (void)refused(g, "unwrapping", major, minor, err);
    } else if (out.length < 4 || out.length > cap) {
        (void)malformed(g, "choice of a security layer", err);
    } else {
        memcpy(plain, out.value, out.length);
        n = (int)out.length;
    }
    (void)gss_release_buffer(&ignored, &out);
    return n;
}

static enum sp_sasl_status offer(struct sp_gss *g, struct sp_buf *out, struct sp_err *err)
{
    static const char none[4] = {NO_LAYER, 0, 0, 0};

    g->state = LAYERS;
    return wrap(g, none, (struct sp_str){"", 0}, out, err);
}

static enum sp_sasl_status chosen(struct sp_gss *g, struct sp_str token,
                                  struct sp_err *err)
{
    char plain[4 + SP_GSS_NAME_MAX];
    int n = unwrap(g, token, plain, sizeof plain, err);

    if (n < 0)
        return failed(g);
    if (plain[0] != NO_LAYER || plain[1] || plain[2] || plain[3]) {
        (void)sp_err_set(err, SP_CLASS_PEER, SP_EDENIED,
                         "GSSAPI: the client chose a security layer that was not offered");
        return failed(g);
    }
    if (memchr(plain + 4, 0, (size_t)n - 4) ||
        sp_buf_put(&g->authzid, plain + 4, (size_t)n - 4) < 0)
        return malformed(g, "authorization identity", err);
    g->state = DONE;
    return SP_SASL_DONE;
}

static enum sp_sasl_status choose(struct sp_gss *g, struct sp_str token,
                                  struct sp_buf *out, struct sp_err *err)
{
    static const char none[4] = {NO_LAYER, 0, 0, 0};
    char plain[64];
    int n = unwrap(g, token, plain, sizeof plain, err);
    enum sp_sasl_status st;

    if (n < 0)
        return failed(g);
    if (!(plain[0] & NO_LAYER)) {
        (void)sp_err_set(err, SP_CLASS_PEER, SP_EDENIED,
                         "GSSAPI: the server insists on a security layer; TLS is ours");
        return failed(g);
    }
    st = wrap(g, none, sp_buf_view(&g->authzid), out, err);
    if (st == SP_SASL_FAILED)
        return st;
    g->state = DONE;
    return SP_SASL_DONE;
}

/* ---- the security context ---- */

static int keep_principal(struct sp_gss *g, gss_name_t who, struct sp_err *err)
{
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor, ignored, major = gss_display_name(&minor, who, &text, NULL);
    int rc;

    if (GSS_ERROR(major))
        return trouble(err, SP_EDENIED, "no name", major, minor);
    rc = memchr(text.value, 0, text.length) ? -SP_EINPUT
                                            : sp_buf_put(&g->principal, text.value, text.length);
    (void)gss_release_buffer(&ignored, &text);
    return rc < 0 ? sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "GSSAPI: malformed name") : 0;
}

static enum sp_sasl_status accept_token(struct sp_gss *g, struct sp_str token,
                                        struct sp_buf *out, struct sp_err *err)
{
    gss_buffer_desc in = {token.n, (void *)(uintptr_t)token.p}, reply = GSS_C_EMPTY_BUFFER;
    gss_name_t who = GSS_C_NO_NAME;
    OM_uint32 minor, ignored, flags = 0, major;
    int rc = 0;

    major = gss_accept_sec_context(&minor, &g->ctx, g->cred, &in,
                                   GSS_C_NO_CHANNEL_BINDINGS, &who, NULL, &reply, &flags,
                                   NULL, NULL);
    if (GSS_ERROR(major)) {
        (void)refused(g, "the ticket", major, minor, err);
        rc = -SP_EDENIED;
    } else if (major == GSS_S_COMPLETE) {
        rc = flags & GSS_C_INTEG_FLAG
                 ? keep_principal(g, who, err)
                 : sp_err_set(err, SP_CLASS_PEER, SP_EDENIED, "GSSAPI: no integrity");
        g->state = reply.length ? EMPTY : LAYERS;
    }
    if (rc == 0 && reply.length && sp_buf_put(out, reply.value, reply.length) < 0)
        rc = sp_err_nomem(err);
    (void)gss_release_name(&ignored, &who);
    (void)gss_release_buffer(&ignored, &reply);
    if (rc < 0)
        return failed(g);
    return g->state == LAYERS ? offer(g, out, err) : SP_SASL_CONTINUE;
}

static enum sp_sasl_status init_token(struct sp_gss *g, struct sp_str token,
                                      struct sp_buf *out, struct sp_err *err)
{
    gss_buffer_desc in = {token.n, (void *)(uintptr_t)token.p}, reply = GSS_C_EMPTY_BUFFER;
    OM_uint32 want = GSS_C_MUTUAL_FLAG | GSS_C_INTEG_FLAG | GSS_C_SEQUENCE_FLAG;
    OM_uint32 minor, ignored, flags = 0, major;
    int rc = 0;

    major = gss_init_sec_context(&minor, g->cred, &g->ctx, g->target,
                                 (gss_OID)gss_mech_krb5, want, 0,
                                 GSS_C_NO_CHANNEL_BINDINGS, token.n ? &in : NULL, NULL,
                                 &reply, &flags, NULL);
    if (GSS_ERROR(major)) {
        (void)refused(g, "the ticket", major, minor, err);
        rc = -SP_EDENIED;
    } else if (major == GSS_S_COMPLETE) {
        if ((flags & (GSS_C_MUTUAL_FLAG | GSS_C_INTEG_FLAG)) !=
            (GSS_C_MUTUAL_FLAG | GSS_C_INTEG_FLAG))
            rc = sp_err_set(err, SP_CLASS_INSECURE, SP_EDENIED,
                            "GSSAPI: the server did not prove who it is");
        g->state = LAYERS;
    }
    if (rc == 0 && reply.length && sp_buf_put(out, reply.value, reply.length) < 0)
        rc = sp_err_nomem(err);
    (void)gss_release_buffer(&ignored, &reply);
    return rc < 0 ? failed(g) : SP_SASL_CONTINUE;
}

enum sp_sasl_status sp_gss_step(struct sp_gss *g, struct sp_str token,
                                struct sp_buf *out, struct sp_err *err)
{
    if (token.n > SP_SASL_TOKEN_MAX * 2 || ++g->tokens > TOKENS_MAX)
        return malformed(g, "token: too long, or too many", err);
    switch (g->state) {
    case CONTEXT:
        if (g->server && token.n == 0) /* asked for by an empty challenge */
            return g->tokens == 1 ? SP_SASL_CONTINUE : malformed(g, "token", err);
        return g->server ? accept_token(g, token, out, err)
                         : init_token(g, token, out, err);
    case EMPTY:
        return token.n ? malformed(g, "answer: it must be empty", err) : offer(g, out, err);
    case LAYERS:
        return g->server ? chosen(g, token, err) : choose(g, token, out, err);
    case DONE:
    case FAILED:
        break;
    }
    (void)sp_err_set(err, SP_CLASS_BUG, SP_ESTATE, "no token is due now");
    return failed(g);
}

#else /* built without */

bool sp_gss_built(void)
{
    return false;
}

static int absent(struct sp_err *err)
{
    return sp_err_set(err, SP_CLASS_PEER, SP_ENOENT,
                      "this program was built without GSSAPI");
}

int sp_gss_server_new(const char *keytab, const char *principal, const char *replay_cache,
                      struct sp_gss **ret_g, struct sp_err *err)
{
    (void)keytab, (void)principal, (void)replay_cache, (void)ret_g;
    return absent(err);
}

int sp_gss_client_new(const char *host, struct sp_str authzid, struct sp_gss **ret_g,
                      struct sp_err *err)
{
    (void)host, (void)authzid, (void)ret_g;
    return absent(err);
}

enum sp_sasl_status sp_gss_step(struct sp_gss *g, struct sp_str token,
                                struct sp_buf *out, struct sp_err *err)
{
    (void)g, (void)token, (void)out;
    (void)absent(err);
    return SP_SASL_FAILED;
}

struct sp_str sp_gss_principal(const struct sp_gss *g)
{
    (void)g;
    return (struct sp_str){"", 0};
}

struct sp_str sp_gss_authorization_identity(const struct sp_gss *g)
{
    (void)g;
    return (struct sp_str){"", 0};
}

void sp_gss_free(struct sp_gss *g)
{
    (void)g;
}
#endif
