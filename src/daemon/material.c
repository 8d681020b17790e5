/* material.c - see material.h. */
#include "material.h"

#include "alias.h"
#include "alloc.h"
#include "dkim.h"
#include "err.h"
#include "secret.h"
#include "token.h"
#include "tlsctx.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    FILE_MAX = 4 << 20,
    FILES_MAX = 4096,
    ALIASES_MAX = 2 << 20, /* all files: they travel in one message to a role */
};

enum owner { FOR_SERVER = 1, FOR_DELIVERY = 2, FOR_AUTH = 4, FOR_QUEUE = 8, FOR_LOCAL = 16,
             FOR_HELPER = 32 };

struct item {
    unsigned owner;   /* who gets it */
    char *path;
    struct sp_buf content;
};

struct pair {
    const char *name;
    size_t cert, key; /* indexes into item */
    long ocsp;        /* likewise; -1: none */
};

struct sp_material {
    struct item *item;
    size_t n;
    struct pair *pair;
    size_t n_pairs;
    char **list; /* paths that alias files include, there or not */
    size_t n_lists;
};

static void item_free(struct item *it)
{
    sp_free(it->path);
    sp_buf_wipe(&it->content);
}

void sp_material_free(struct sp_material *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->n; i++)
        item_free(&m->item[i]);
    while (m->n_lists)
        sp_free(m->list[--m->n_lists]);
    sp_free(m->list);
    sp_free(m->item);
    sp_free(m->pair);
    sp_free(m);
}

static int read_file(const char *path, struct sp_buf *out, struct sp_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    ssize_t n;

    if (fd < 0)
        return sp_err_sys(err, SP_CLASS_PEER, SP_EIO, "cannot open %s", path);
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return sp_err_set(err, SP_CLASS_PEER, SP_EINPUT, "%s is no regular file", path);
    }
    for (;;) {
        char *room = sp_buf_room(out, 8192);

        if (!room) {
            close(fd);
            return sp_err_set(err, SP_CLASS_PEER, SP_ELIMIT, "%s is too large", path);
        }
        n = read(fd, room, 8192);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        out->n += (size_t)n;
    }
    if (n < 0)
        (void)sp_err_sys(err, SP_CLASS_TEMPORARY, SP_EIO, "cannot read %s", path);
    close(fd);
    return n < 0 ? -SP_EIO : 0;
}

static void problem(struct sp_buf *problems, const char *what, const char *name,
                    const char *text)
{
    (void)sp_buf_printf(problems, "%s%s%s: %s\n", what, *name ? " " : "", name, text);
}

/* Adds a file once; more owners may want it.  Returns its index or -1. */
static long add(struct sp_material *m, const char *path, unsigned owner, const char *what,
                const char *name, struct sp_buf *problems)
{
    struct sp_err err;
    struct item *it;

    for (size_t i = 0; i < m->n; i++)
        if (strcmp(m->item[i].path, path) == 0) {
            m->item[i].owner |= owner;
            return (long)i;
        }
    it = m->n < FILES_MAX ? sp_realloc(m->item, (m->n + 1) * sizeof *it) : NULL;
    if (!it) {
        problem(problems, what, name, "out of memory, or too many files");
        return -1;
    }
    m->item = it;
    it = &m->item[m->n];
    memset(it, 0, sizeof *it);
    it->owner = owner;
    it->path = sp_strdup(path);
    sp_buf_init(&it->content, FILE_MAX);
    if (!it->path || read_file(path, &it->content, &err) < 0) {
        problem(problems, what, name, it->path ? err.text : "out of memory");
        item_free(it);
        return -1;
    }
    return (long)m->n++;
}

/* It helps clients, and the service does not need it: what is not there is only said. */
static long add_staple(struct sp_material *m, const struct sp_conf_tls *t,
                       struct sp_buf *problems)
{
    return t->ocsp_response
               ? add(m, t->ocsp_response, 0, "warning: tls", t->head.name, problems)
               : -1;
}

static int add_pair(struct sp_material *m, const struct sp_conf_tls *t,
                    struct sp_buf *problems)
{
    long cert = add(m, t->certificate, 0, "tls", t->head.name, problems);
    long key = add(m, t->key, 0, "tls", t->head.name, problems);
    long ocsp = add_staple(m, t, problems);
    struct pair *p;

    if (cert < 0 || key < 0)
        return -1;
    p = sp_realloc(m->pair, (m->n_pairs + 1) * sizeof *p);
    if (!p) {
        problem(problems, "tls", t->head.name, "out of memory");
        return -1;
    }
    m->pair = p;
    m->pair[m->n_pairs++] = (struct pair){t->head.name, (size_t)cert, (size_t)key, ocsp};
    return 0;
}

static struct sp_pem pem(const struct sp_material *m, long i)
{
    return i < 0 ? (struct sp_pem){{NULL, 0}, ""}
                 : (struct sp_pem){sp_buf_view(&m->item[i].content), m->item[i].path};
}

static struct sp_pem pem_of(const struct sp_material *m, const char *path)
{
    for (size_t i = 0; path && i < m->n; i++)
        if (strcmp(m->item[i].path, path) == 0)
            return pem(m, (long)i);
    return pem(m, -1);
}

int sp_material_tls(const struct sp_material *m, const struct sp_conf_listener *l,
                    struct sp_tls_ctx **ret, struct sp_err *err)
{
    struct sp_tls_server_opts o = {0};
    struct sp_tls_pair pairs[16];

    for (size_t i = 0; i < l->n_tls_certs && o.n_pairs < 16; i++)
        for (size_t j = 0; j < m->n_pairs; j++)
            if (strcmp(m->pair[j].name, l->tls_certs[i]->head.name) == 0)
                pairs[o.n_pairs++] = (struct sp_tls_pair){
                    pem(m, (long)m->pair[j].cert), pem(m, (long)m->pair[j].key),
                    pem(m, m->pair[j].ocsp), l->tls_certs[i]->names.v,
                    l->tls_certs[i]->names.n};
    o.pairs = pairs;
    o.ask_client = l->client_certificates != SP_CONF_CERTS_OFF;
    o.tls13_at_least = l->tls_min == SP_CONF_TLS_1_3;
    o.send_ca_names = l->send_ca_names;
    o.client_ca = pem_of(m, l->client_ca);
    o.use_crl = l->client_crl != NULL;
    o.crl = pem_of(m, l->client_crl);
    return sp_tls_server(&o, ret, err);
}

/* Builds the context the server role will build, so that a bad file is found here. */
static int try_listener(struct sp_material *m, const struct sp_conf_listener *l,
                        struct sp_buf *problems)
{
    const char *const paths[] = {l->client_ca, l->client_crl};
    struct sp_tls_ctx *ctx;
    struct sp_err err;
    char text[300];

    for (size_t i = 0; i < 2; i++)
        if (paths[i] &&
            add(m, paths[i], FOR_SERVER, "listener", l->head.name, problems) < 0)
            return -1;
    for (size_t i = 0; i < l->n_tls_certs; i++) {
        size_t j = 0;

        while (j < m->n_pairs && strcmp(m->pair[j].name, l->tls_certs[i]->head.name) != 0)
            j++;
        if (j == m->n_pairs)
            return 0; /* what is missing was said already */
    }
    if (sp_material_tls(m, l, &ctx, &err) < 0) {
        problem(problems, "listener", l->head.name, err.text);
        return -1;
    }
    if (sp_tls_warning(ctx, (int64_t)time(NULL), text, sizeof text))
        problem(problems, "warning: listener", l->head.name, text);
    sp_tls_unref(ctx);
    return 0;
}

static int add_route(struct sp_material *m, const struct sp_conf_route *r,
                     struct sp_buf *problems)
{
    const char *const paths[] = {r->tls_ca, r->mta_sts_ca, r->password_file, r->token_file,
                                 r->client_certificate, r->client_key};
    struct stat st;
    int rc = 0;

    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        if (!paths[i] || (stat(paths[i], &st) == 0 && S_ISDIR(st.st_mode)))
            continue; /* a directory of CAs is opened by the TLS library */
        if (add(m, paths[i], FOR_DELIVERY, "route", r->head.name, problems) < 0)
            rc = -1;
    }
    return rc;
}

static int add_reports(struct sp_material *m, const struct sp_conf *c,
                       struct sp_buf *problems)
{
    struct stat st;

    if (!c->tls_reports_ca || (stat(c->tls_reports_ca, &st) == 0 && S_ISDIR(st.st_mode)))
        return 0;
    return add(m, c->tls_reports_ca, FOR_DELIVERY, "tls-reports-ca", "", problems);
}

/* Keys are read as the auth role will read them, so that a bad file is found here. */
static int add_oauth(struct sp_material *m, const struct sp_conf_oauth *o,
                     struct sp_buf *problems)
{
    const char *const paths[] = {o->keys, o->client_secret_file, o->tls_ca};
    struct sp_token_keys *keys = NULL;
    struct sp_err err;
    long at;

    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        if (!paths[i])
            continue;
        at = add(m, paths[i], FOR_AUTH, "oauth", o->head.name, problems);
        if (at < 0)
            return -1;
        if (paths[i] == o->keys &&
            sp_token_keys_parse(sp_buf_view(&m->item[at].content), &keys, &err) < 0) {
            (void)sp_buf_printf(problems, "oauth %s: %s: %s\n", o->head.name, o->keys, err.text);
            return -1;
        }
        sp_token_keys_free(keys);
        keys = NULL;
    }
    return 0;
}

static int add_dkim(struct sp_material *m, const struct sp_conf_dkim *d,
                    struct sp_buf *problems)
{
    long at = add(m, d->key, FOR_QUEUE, "dkim", d->head.name, problems);
    struct sp_dkim_key *key = NULL;
    struct sp_err err;

    if (at < 0)
        return -1;
    if (sp_dkim_key_new(sp_buf_view(&m->item[at].content), &key, &err) < 0) {
        (void)sp_buf_printf(problems, "dkim %s: %s: %s\n", d->head.name, d->key, err.text);
        return -1;
    }
    if (strcmp(sp_dkim_key_algorithm(key), "rsa-sha256") == 0 &&
        sp_dkim_key_bits(key) < SP_DKIM_RSA_BITS_GOOD)
        (void)sp_buf_printf(problems,
                            "warning: dkim %s: %s has %u bits; %d are usual, and some "
                            "receivers take a shorter key for none\n",
                            d->head.name, d->key, sp_dkim_key_bits(key), SP_DKIM_RSA_BITS_GOOD);
    sp_dkim_key_free(key);
    return 0;
}

/* ---- aliases ---- */

static void stamp_file(const char *path, uint64_t *h)
{
    struct stat st;

    if (!path)
        return;
    if (stat(path, &st) < 0)
        memset(&st, 0, sizeof st);
    *h = (*h ^ (uint64_t)st.st_ino) * 0x100000001b3u;
    *h = (*h ^ (uint64_t)st.st_size) * 0x100000001b3u;
    *h = (*h ^ (uint64_t)st.st_mtim.tv_sec) * 0x100000001b3u;
    *h = (*h ^ (uint64_t)st.st_mtim.tv_nsec) * 0x100000001b3u;
}

struct alias_reading {
    struct sp_material *m;
    struct sp_buf *problems;
    size_t octets;
};

static struct sp_str alias_text(void *arg, const char *path)
{
    struct alias_reading *r = arg;

    for (size_t i = 0; i < r->m->n; i++)
        if (strcmp(r->m->item[i].path, path) == 0)
            return sp_buf_view(&r->m->item[i].content);
    return (struct sp_str){NULL, 0};
}

static void note_list(struct sp_material *m, const char *path)
{
    char **v = sp_realloc(m->list, (m->n_lists + 1) * sizeof *v);

    if (!v)
        return;
    m->list = v;
    m->list[m->n_lists] = sp_strdup(path);
    m->n_lists += m->list[m->n_lists] != NULL;
}

/* A list that is not there keeps its mail waiting and nothing else from working. */
static struct sp_str list_text(void *arg, const char *path)
{
    struct alias_reading *r = arg;
    struct sp_str text = alias_text(r, path);
    struct sp_buf trouble;
    long at;

    note_list(r->m, path);
    if (text.p)
        return text;
    sp_buf_init(&trouble, 4096);
    at = add(r->m, path, FOR_AUTH, "warning: alias list", "", &trouble);
    if (at < 0)
        (void)sp_buf_str(r->problems, sp_buf_view(&trouble));
    sp_buf_free(&trouble);
    if (at >= 0) {
        r->octets += r->m->item[at].content.n;
        text = sp_buf_view(&r->m->item[at].content);
    }
    /* An empty file is a list without members, not one that cannot be read. */
    return at >= 0 && !text.p ? (struct sp_str){"", 0} : text;
}

static void alias_note(void *arg, const char *file, unsigned line, const char *text)
{
    struct alias_reading *r = arg;

    (void)sp_buf_printf(r->problems, "warning: %s:%u: %s\n", file, line, text);
}

/* The lists that files name, and those that these name, are read along with them. */
static int add_aliases(struct sp_material *m, const struct sp_conf *c, struct sp_buf *problems)
{
    struct alias_reading r = {m, problems, 0};
    struct sp_alias *a = sp_alias_new();
    const char *path;
    int rc = a ? 0 : -SP_ENOMEM;

    for (size_t i = 0; i < c->alias_files.n && rc == 0; i++) {
        long at = add(m, c->alias_files.v[i], FOR_AUTH | FOR_LOCAL, "aliases", "", problems);

        rc = at < 0 ? -1
                    : sp_alias_read(a, sp_buf_view(&m->item[at].content),
                                    c->alias_files.v[i], alias_note, &r);
        r.octets += at < 0 ? 0 : m->item[at].content.n;
    }
    for (size_t i = 0; rc == 0 && (path = sp_alias_include(a, i)); i++) {
        struct sp_str text = list_text(&r, path);

        if (text.p)
            rc = sp_alias_list(a, path, text, alias_note, &r);
    }
    sp_alias_free(a);
    if (rc == 0 && r.octets > ALIASES_MAX) {
        (void)sp_buf_printf(problems,
                            "aliases: %zu octets of files are too many, %d are possible; "
                            "alias-database has no such limit\n",
                            r.octets, ALIASES_MAX);
        rc = -1;
    }
    return rc;
}

static int add_accounts(struct sp_material *m, const struct sp_conf_accounts *a,
                        struct sp_buf *problems)
{
    const char *const type[] = {"file", "certificate authorities"};
    const char *const path[] = {a->path, a->tls_ca};

    /* These are opened by the helper, with its own rights: only a hint. */
    for (size_t i = 0; i < 2; i++)
        if (path[i] && access(path[i], F_OK) < 0)
            (void)sp_buf_printf(problems, "warning: accounts %s: the %s %s: %s\n", a->head.name,
                                type[i], path[i], strerror(errno));
    return !a->password_file ||
                   add(m, a->password_file, FOR_HELPER, "accounts", a->head.name, problems) >= 0
               ? 0
               : -1;
}

struct sp_material *sp_material_read(const struct sp_conf *c, struct sp_buf *problems)
{
    struct sp_material *m = sp_alloc(sizeof *m);
    int rc = m ? 0 : -1;

    for (size_t i = 0; m && i < c->n_tls; i++)
        if (add_pair(m, &c->tls[i], problems) < 0)
            rc = -1;
    for (size_t i = 0; m && i < c->n_listeners; i++)
        if (c->listeners[i].tls != SP_CONF_NONE &&
            try_listener(m, &c->listeners[i], problems) < 0)
            rc = -1;
    for (size_t i = 0; m && i < c->n_routes; i++)
        if (add_route(m, &c->routes[i], problems) < 0)
            rc = -1;
    if (m && add_reports(m, c, problems) < 0)
        rc = -1;
    for (size_t i = 0; m && i < c->n_oauth; i++)
        if (add_oauth(m, &c->oauth[i], problems) < 0)
            rc = -1;
    for (size_t i = 0; m && i < c->n_dkim; i++)
        if (add_dkim(m, &c->dkim[i], problems) < 0)
            rc = -1;
    if (m && add_aliases(m, c, problems) < 0)
        rc = -1;
    for (size_t i = 0; m && i < c->n_accounts; i++)
        if (add_accounts(m, &c->accounts[i], problems) < 0)
            rc = -1;
    if (rc < 0) {
        sp_material_free(m);
        return NULL;
    }
    return m;
}

static ProtobufCBinaryData data(const struct item *it)
{
    return (ProtobufCBinaryData){it->content.n, (uint8_t *)it->content.p};
}

void sp_material_unshare(Sp__Setup *s)
{
    for (size_t i = 0; i < s->n_key; i++)
        sp_free(s->key[i]);
    for (size_t i = 0; i < s->n_file; i++)
        sp_free(s->file[i]);
    sp_free(s->key);
    sp_free(s->file);
    s->key = NULL;
    s->file = NULL;
    s->n_key = s->n_file = 0;
}

static int share_key(const struct sp_material *m, const struct pair *p, Sp__Setup *s)
{
    Sp__KeyPair *k = sp_alloc(sizeof *k);

    if (!k)
        return -SP_ENOMEM;
    sp__key_pair__init(k);
    k->name = (char *)(uintptr_t)p->name;
    k->chain_pem = data(&m->item[p->cert]);
    k->key_pem = data(&m->item[p->key]);
    if (p->ocsp >= 0)
        k->ocsp_der = data(&m->item[p->ocsp]);
    s->key[s->n_key++] = k;
    return 0;
}

static int share_file(const struct item *it, Sp__Setup *s)
{
    Sp__NamedFile *f = sp_alloc(sizeof *f);

    if (!f)
        return -SP_ENOMEM;
    sp__named_file__init(f);
    f->path = it->path;
    f->content = data(it);
    s->file[s->n_file++] = f;
    return 0;
}

int sp_material_share(const struct sp_material *m, Sp__Role role, Sp__Setup *s)
{
    unsigned owner = role == SP__ROLE__ROLE_SERVER     ? FOR_SERVER
                     : role == SP__ROLE__ROLE_DELIVERY ? FOR_DELIVERY
                     : role == SP__ROLE__ROLE_AUTH     ? FOR_AUTH
                     : role == SP__ROLE__ROLE_QUEUE    ? FOR_QUEUE
                     : role == SP__ROLE__ROLE_LOCAL    ? FOR_LOCAL
                     : role == SP__ROLE__ROLE_AUTH_HELPER ? FOR_HELPER
                                                          : 0;
    int rc = 0;

    s->key = sp_alloc((m->n_pairs + 1) * sizeof *s->key);
    s->file = sp_alloc((m->n + 1) * sizeof *s->file);
    if (!s->key || !s->file)
        rc = -SP_ENOMEM;
    for (size_t i = 0; rc == 0 && i < m->n_pairs && owner == FOR_SERVER; i++)
        rc = share_key(m, &m->pair[i], s);
    for (size_t i = 0; rc == 0 && i < m->n; i++)
        if (m->item[i].owner & owner)
            rc = share_file(&m->item[i], s);
    if (rc < 0)
        sp_material_unshare(s);
    return rc;
}

/* What alias files include is known only from reading them. */
static uint64_t stamp_lists(const struct sp_material *m)
{
    uint64_t h = 0;

    for (size_t i = 0; m && i < m->n_lists; i++)
        stamp_file(m->list[i], &h);
    return h;
}

uint64_t sp_material_stamp(const struct sp_conf *c, const struct sp_material *m)
{
    uint64_t h = 0xcbf29ce484222325u ^ stamp_lists(m);

    for (size_t i = 0; i < c->n_tls; i++) {
        stamp_file(c->tls[i].certificate, &h);
        stamp_file(c->tls[i].key, &h);
        stamp_file(c->tls[i].ocsp_response, &h);
    }
    for (size_t i = 0; i < c->n_listeners; i++) {
        stamp_file(c->listeners[i].client_ca, &h);
        stamp_file(c->listeners[i].client_crl, &h);
    }
    for (size_t i = 0; i < c->n_routes; i++) {
        stamp_file(c->routes[i].tls_ca, &h);
        stamp_file(c->routes[i].mta_sts_ca, &h);
        stamp_file(c->routes[i].password_file, &h);
        stamp_file(c->routes[i].token_file, &h);
        stamp_file(c->routes[i].client_certificate, &h);
        stamp_file(c->routes[i].client_key, &h);
    }
    stamp_file(c->tls_reports_ca, &h);
    for (size_t i = 0; i < c->n_oauth; i++) {
        stamp_file(c->oauth[i].keys, &h);
        stamp_file(c->oauth[i].client_secret_file, &h);
        stamp_file(c->oauth[i].tls_ca, &h);
    }
    for (size_t i = 0; i < c->n_dkim; i++)
        stamp_file(c->dkim[i].key, &h);
    for (size_t i = 0; i < c->alias_files.n; i++)
        stamp_file(c->alias_files.v[i], &h);
    for (size_t i = 0; i < c->n_accounts; i++)
        stamp_file(c->accounts[i].password_file, &h);
    return h;
}
