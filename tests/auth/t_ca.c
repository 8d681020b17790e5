/* The small CA, judged by the openssl command and by the mapping. */
#include "ca.h"
#include "certmap.h"
#include "t_auth.h"

#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <time.h>

static char out[8192]; /* of the last command */

/* The exit status; what it printed is in `out`.  $D is the directory. */
static int sh(const char *fmt, ...) SP_PRINTF(1, 2);

static int sh(const char *fmt, ...)
{
    char cmd[2048];
    va_list ap;
    FILE *p;
    size_t n;
    int k = snprintf(cmd, sizeof cmd, "exec 2>&1; D='%s'; ", t_dir);

    va_start(ap, fmt);
    vsnprintf(cmd + k, sizeof cmd - (size_t)k, fmt, ap);
    va_end(ap);
    p = popen(cmd, "r");
    n = p ? fread(out, 1, sizeof out - 1, p) : 0;
    out[n] = '\0';
    return p ? pclose(p) : -1;
}

static const char *in(const char *file)
{
    static char path[32][128];
    static unsigned i;

    i = (i + 1) % 32;
    snprintf(path[i], sizeof path[i], "%s/%s", t_dir, file);
    return path[i];
}

static struct sp_ca *authority(void)
{
    struct sp_ca *ca = NULL;

    make_dir();
    OK(sp_ca_create(in("ca"), "Test mail CA", 3650, &e));
    OK(sp_ca_open(in("ca"), &ca, &e));
    return ca;
}

static unsigned mode_of(const char *file)
{
    struct stat st;

    return stat(in(file), &st) == 0 ? st.st_mode & 07777 : 0;
}

static struct sp_ca_client alice(void)
{
    return (struct sp_ca_client){.user = S("alice"),
                                 .address = S("alice@Example.org"),
                                 .days = 365,
                                 .cert_path = in("alice.pem"),
                                 .key_path = in("alice.key")};
}

TEST("the CA and a server certificate verify, by name and by address")
{
    static const char *const names[] = {"mail.example.org", "localhost", "127.0.0.1",
                                        "::1"};
    struct sp_ca *ca = authority();

    OK(sp_ca_issue_server(ca, names, 4, 825, in("s.pem"), in("s.key"), &e));
    for (int i = 0; i < 4; i++)
        CHECK_INT(
            sh("openssl verify -x509_strict -purpose sslserver -CAfile $D/ca/ca.pem "
               "-verify_%s %s $D/s.pem",
               i < 2 ? "hostname" : "ip", names[i]),
            0);
    CHECK(sh("openssl verify -CAfile $D/ca/ca.pem -verify_hostname evil.example "
             "$D/s.pem") != 0);
    CHECK(sh("openssl verify -purpose sslclient -CAfile $D/ca/ca.pem $D/s.pem") != 0);
    /* key and certificate belong together; the file holds the whole chain */
    CHECK_INT(sh("[ \"$(openssl pkey -in $D/s.key -pubout)\" = "
                 "\"$(openssl x509 -in $D/s.pem -noout -pubkey)\" ]"),
              0);
    CHECK_INT(sh("[ $(grep -c BEGIN $D/s.pem) = 2 ]"), 0);
    CHECK_INT(mode_of("s.key"), 0600);
    CHECK_INT(mode_of("ca/ca.key"), 0600);
    CHECK_INT(mode_of("s.pem"), 0644);
    CHECK_INT(mode_of("ca"), 0700);
    sp_ca_close(ca);
    remove_dir();
}

TEST("names that do not belong into a certificate are refused")
{
    static const char *const bad[] = {
        "",      "a b",  "-x.example/..",         "a,DNS:evil",
        ".x",    "x..y", "m\xc3\xbcller.example", "*.*.a.b",
        "a*.org"};
    struct sp_ca *ca = authority();
    struct sp_ca_client c = alice();

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_INT(sp_ca_issue_server(ca, &bad[i], 1, 10, in("s.pem"), in("s.key"), &e),
                  -SP_EINPUT);
    CHECK_INT(sp_ca_issue_server(ca, bad, 0, 10, in("s.pem"), in("s.key"), &e),
              -SP_EINPUT);
    c.address = S("no address");
    CHECK_INT(sp_ca_issue_client(ca, &c, &e), -SP_EINPUT);
    c.address = S("*@example.org");
    CHECK_INT(sp_ca_issue_client(ca, &c, &e), -SP_EINPUT);
    c.address = S("a@m\xc3\xbcller.example");
    CHECK_INT(sp_ca_issue_client(ca, &c, &e), -SP_EINPUT);
    c = alice();
    c.user = S("../etc");
    CHECK_INT(sp_ca_issue_client(ca, &c, &e), -SP_EINPUT);
    c = alice();
    c.days = 0;
    CHECK_INT(sp_ca_issue_client(ca, &c, &e), -SP_EINPUT);
    c = alice();
    c.p12_path = in("a.p12");
    CHECK_INT(sp_ca_issue_client(ca, &c, &e), -SP_EINPUT); /* no kind, no password */
    CHECK_INT(sh("ls $D/*.pem $D/*.key $D/*.p12 | grep -v 'No such'") == 0, 0);
    sp_ca_close(ca);
    remove_dir();
}

TEST("a client certificate verifies and maps to its user")
{
    struct sp_ca *ca = authority();
    struct sp_ca_client c = alice(), j = alice();
    struct sp_users *u = NULL;
    struct sp_cert_result r;
    char der[4096];
    FILE *f;

    j.user = S("j\xc3\xbcrgen");
    j.address = S("j\xc3\xbcrgen@example.org");
    j.cert_path = in("j.pem");
    j.key_path = in("j.key");
    OK(sp_ca_issue_client(ca, &c, &e));
    OK(sp_ca_issue_client(ca, &j, &e));
    CHECK_INT(sh("openssl verify -x509_strict -purpose sslclient -CAfile $D/ca/ca.pem "
                 "$D/alice.pem $D/j.pem"),
              0);
    CHECK(sh("openssl verify -purpose sslserver -CAfile $D/ca/ca.pem $D/alice.pem") !=
          0);
    CHECK_INT(
        sh("openssl x509 -in $D/alice.pem -noout -ext subjectAltName,extendedKeyUsage"),
        0);
    CHECK(strstr(out, "email:alice@example.org") &&
          strstr(out, "Client Authentication"));
    OK(sp_users_open(t_path, SP_USERS_WRITE, &u, &e));
    OK(sp_users_add(u, S("alice"), S("alice@example.org"), &e));
    OK(sp_users_add(u, S("j\xc3\xbcrgen"), S("j\xc3\xbcrgen@example.org"), &e));
    for (int i = 0; i < 2; i++) {
        CHECK_INT(sh("openssl x509 -in $D/%s.pem -outform DER -out $D/x.der",
                     i ? "j" : "alice"),
                  0);
        f = fopen(in("x.der"), "rb");
        struct sp_cert_look q = {
            .leaf_der = {der, f ? fread(der, 1, sizeof der, f) : 0},
            .chain_ok = true,
            .now_s = time(NULL)};
        if (f)
            fclose(f);
        OK(sp_certmap(u, &q, &r, &e));
        CHECK_STR(r.user, i ? "j\xc3\xbcrgen" : "alice");
        CHECK_STR(r.rule, i ? "SmtpUTF8Mailbox" : "rfc822Name");
    }
    sp_users_close(u);
    sp_ca_close(ca);
    remove_dir();
}

TEST("PKCS#12 files of both kinds open with their password only")
{
    static const struct {
        enum sp_p12_kind kind;
        const char *file, *cipher, *mac;
    } row[] = {
        {SP_P12_MODERN, "m.p12", "AES-256-CBC", "MAC: sha256"},
        {SP_P12_PHONE, "p.p12", "pbeWithSHA1And3-KeyTripleDES-CBC", "MAC: sha1"}};
    struct sp_ca *ca = authority();

    for (int i = 0; i < 2; i++) {
        struct sp_ca_client c = alice();

        c.p12_path = in(row[i].file);
        c.p12 = row[i].kind;
        c.p12_password = S("p\xc3\xa4ss word");
        OK(sp_ca_issue_client(ca, &c, &e));
        CHECK_INT(mode_of(row[i].file), 0600);
        CHECK_INT(
            sh("openssl pkcs12 -in $D/%s -passin 'pass:p\xc3\xa4ss word' -nodes -info",
               row[i].file),
            0);
        CHECK(strstr(out, row[i].cipher) && strstr(out, row[i].mac));
        CHECK(strstr(out, "friendlyName: alice") && strstr(out, "BEGIN PRIVATE KEY"));
        CHECK(strstr(out, "Test mail CA") != NULL);
        CHECK(sh("openssl pkcs12 -in $D/%s -passin pass:wrong -nodes", row[i].file) !=
              0);
    }
    sp_ca_close(ca);
    remove_dir();
}

static int nth(void *arg, const struct sp_ca_entry *x)
{
    int *n = arg;

    if (--*n)
        return 0;
    snprintf(out, sizeof out, "%s %d %s %s %d %d", x->serial, x->is_client, x->user,
             x->address, x->revoked_s != 0,
             (int)((x->not_after_s - x->not_before_s) / 86400));
    return 1;
}

TEST("a revoked certificate is in the CRL at once; the list says so after a restart")
{
    struct sp_ca *ca = authority();
    struct sp_ca_client a = alice(), b = alice();
    int64_t next = 0;
    int n;

    b.user = S("bob");
    b.address = S("");
    b.cert_path = in("bob.pem");
    b.key_path = in("bob.key");
    OK(sp_ca_issue_client(ca, &a, &e));
    OK(sp_ca_issue_client(ca, &b, &e));
    CHECK_INT(
        sh("openssl verify -crl_check -CAfile $D/ca/ca.pem -CRLfile $D/ca/crl.pem "
           "$D/alice.pem"),
        0);
    OK(sp_ca_revoke(ca, a.ret_serial, &e));
    CHECK_INT(sp_ca_revoke(ca, a.ret_serial, &e), -SP_EEXIST);
    CHECK_INT(sp_ca_revoke(ca, "1234", &e), -SP_ENOENT);
    CHECK_INT(sp_ca_revoke(ca, "", &e), -SP_ENOENT);
    CHECK(sh("openssl verify -crl_check -CAfile $D/ca/ca.pem -CRLfile $D/ca/crl.pem "
             "$D/alice.pem") != 0);
    CHECK(strstr(out, "revoked") != NULL);
    CHECK_INT(
        sh("openssl verify -crl_check -CAfile $D/ca/ca.pem -CRLfile $D/ca/crl.pem "
           "$D/bob.pem"),
        0);
    CHECK_INT(sh("openssl crl -in $D/ca/crl.pem -noout -text -CAfile $D/ca/ca.pem | "
                 "grep -i $(echo %s | tr a-f A-F)",
                 a.ret_serial),
              0);
    sp_ca_close(ca);
    OK(sp_ca_open(in("ca"), &ca, &e));
    n = 1;
    CHECK_INT(sp_ca_list(ca, nth, &n, &e), 1);
    CHECK(strstr(out, " 1 alice alice@Example.org 1 365") != NULL);
    n = 2;
    CHECK_INT(sp_ca_list(ca, nth, &n, &e), 1);
    CHECK(strstr(out, " 1 bob  0 365") != NULL);
    CHECK_INT(sp_ca_revoke_user(ca, S("bob"), &e), 1);
    CHECK_INT(sp_ca_revoke_user(ca, S("bob"), &e), 0);
    CHECK(sh("openssl verify -crl_check -CAfile $D/ca/ca.pem -CRLfile $D/ca/crl.pem "
             "$D/bob.pem") != 0);
    OK(sp_ca_refresh_crl(ca, &e));
    CHECK_INT(sh("openssl crl -in $D/ca/crl.pem -noout -crlnumber"), 0);
    CHECK(strstr(out, "4\n") != NULL); /* made, alice, bob, refreshed */
    OK(sp_ca_crl_next(in("ca/crl.pem"), &next, &e));
    CHECK(next > time(NULL) + 29 * 86400 && next <= time(NULL) + 30 * 86400);
    CHECK_INT(sp_ca_crl_next(in("ca/ca.pem"), &next, &e), -SP_EINPUT);
    sp_ca_close(ca);
    remove_dir();
}

TEST("a CA is not overwritten, not shared by two commands, and damage is named")
{
    struct sp_ca *ca = authority(), *two = NULL;
    FILE *f;

    CHECK_INT(sp_ca_open(in("ca"), &two, &e), -SP_EAGAIN);
    sp_ca_close(ca);
    CHECK_INT(sp_ca_create(in("ca"), "again", 10, &e), -SP_EEXIST);
    CHECK_INT(sp_ca_open(in("none"), &two, &e), -SP_ENOENT);
    f = fopen(in("ca/index"), "a");
    if (f) {
        fputs("nonsense\n", f);
        fclose(f);
    }
    CHECK_INT(sp_ca_open(in("ca"), &two, &e), -SP_EINPUT);
    CHECK(strstr(e.text, "index:2") != NULL);
    CHECK_INT(sh("echo '# sallyport ca index 2' > $D/ca/index"), 0);
    CHECK_INT(sp_ca_open(in("ca"), &two, &e), -SP_EVERSION);
    CHECK_INT(sh("openssl ecparam -name prime256v1 -genkey -noout -out $D/ca/ca.key"),
              0);
    CHECK_INT(sp_ca_open(in("ca"), &two, &e), -SP_EIO);
    CHECK(strstr(e.text, "belong together") != NULL);
    remove_dir();
}

TEST("a disk that refuses leaves the old file and no half of a new one")
{
    struct sp_ca *ca = authority();
    struct sp_ca_client c = alice();

    c.key_path = in("nowhere/alice.key");
    CHECK_INT(sp_ca_issue_client(ca, &c, &e), -SP_EIO);
    CHECK(access(in("alice.pem"), F_OK) < 0);
    /* It is in the index all the same: whatever may exist can be revoked. */
    OK(sp_ca_revoke(ca, c.ret_serial, &e));
    /* Refused at the rename: nothing half-written stays. */
    c.key_path = in("taken.key");
    CHECK_INT(sh("mkdir -p $D/taken.key/x"), 0);
    CHECK_INT(sp_ca_issue_client(ca, &c, &e), -SP_EIO);
    CHECK_INT(sh("[ \"$(ls -d $D/taken.key*)\" = $D/taken.key ]"), 0);
    sp_ca_close(ca);
    remove_dir();
}

TEST("facts of a certificate for pins and mappings")
{
    struct sp_ca *ca = authority();
    struct sp_ca_client c = alice();
    struct sp_cert_facts f;
    char pem[8192];
    FILE *file;
    size_t n;

    OK(sp_ca_issue_client(ca, &c, &e));
    file = fopen(in("alice.pem"), "rb");
    n = file ? fread(pem, 1, sizeof pem, file) : 0;
    if (file)
        fclose(file);
    OK(sp_cert_facts((struct sp_str){pem, n}, &f, &e));
    CHECK_STR(f.subject, "CN=alice");
    CHECK_STR(f.issuer, "CN=Test mail CA");
    CHECK_STR(f.address, "alice@example.org");
    CHECK_INT(sh("openssl x509 -in $D/alice.pem -noout -pubkey | openssl pkey -pubin "
                 "-outform DER | sha256sum | cut -d' ' -f1 | tr -d '\\n'"),
              0);
    CHECK_STR(f.spki_sha256, out);
    CHECK_INT(
        sh("openssl x509 -in $D/alice.pem -outform DER | sha256sum | cut -d' ' -f1 | "
           "tr -d '\\n'"),
        0);
    CHECK_STR(f.fingerprint, out);
    CHECK(f.not_after_s > time(NULL) && f.not_before_s < time(NULL));
    CHECK_INT(sp_cert_facts(S("nonsense"), &f, &e), -SP_EINPUT);
    CHECK_INT(sp_cert_facts(S(""), &f, &e), -SP_EINPUT);
    sp_ca_close(ca);
    remove_dir();
}

T_MAIN
