/* What an address becomes: every expectation here is written by hand. */
#include "alias.h"
#include "t.h"

#include <sallyport/types.h>
#include <stdlib.h>

static char said[2000];

static void note(void *arg, const char *file, unsigned line, const char *text)
{
    size_t n = strlen(said);

    (void)arg;
    (void)file;
    snprintf(said + n, sizeof said - n, "%u %s\n", line, text);
}

static bool is_local(void *arg, struct sp_str domain)
{
    (void)arg;
    return sp_str_caseis(domain, "example.org") || sp_str_caseis(domain, "example.net");
}

static bool accounts_down, database_down;

static int account(void *arg, struct sp_str address)
{
    (void)arg;
    if (accounts_down)
        return -SP_EAGAIN;
    return sp_str_is(address, "alice@example.org") || sp_str_is(address, "bob@example.org") ||
           sp_str_is(address, "dave+own@example.org");
}

static int more(void *arg, struct sp_str name, struct sp_buf *out)
{
    (void)arg;
    if (database_down)
        return -SP_EIO;
    if (sp_str_is(name, "sql@example.org"))
        return sp_buf_puts(out, "alice\ncarol@remote.test\n") < 0 ? -SP_ENOMEM : 1;
    if (sp_str_is(name, "evil@example.org"))
        return sp_buf_puts(out, "|/bin/sh") < 0 ? -SP_ENOMEM : 1;
    return 0;
}

static const char *const verdicts[] = {"same",  "becomes",  "unknown",
                                       "loop",  "too many", "temporary"};

/* "alice@example.org, |/bin/x as list@example.org" */
static const char *expand(struct sp_alias *a, const char *address, bool known)
{
    static char out[4000];
    struct sp_alias_rules r = {.table = a,
                               .delimiter = "+",
                               .most = 5,
                               .postmaster = SP_LIT("alice@example.org"),
                               .known_only = known,
                               .is_local = is_local,
                               .account = account,
                               .more = more};
    struct sp_alias_result result;
    struct sp_arena arena;
    size_t n = 0;

    sp_arena_init(&arena, 1 << 20);
    sp_alias_expand(&r, sp_str(address), &arena, &result);
    if (result.verdict != SP_ALIAS_BECOMES)
        n = (size_t)snprintf(out, sizeof out, "%s", verdicts[result.verdict]);
    for (size_t i = 0; result.verdict == SP_ALIAS_BECOMES && i < result.n; i++)
        n += (size_t)snprintf(out + n, sizeof out - n, "%s%.*s%s%.*s", i ? ", " : "",
                              (int)result.to[i].deliver.n,
                              result.to[i].deliver.n ? result.to[i].deliver.p : "",
                              result.to[i].deliver.n ? " as " : "",
                              (int)result.to[i].address.n, result.to[i].address.p);
    sp_arena_reset(&arena);
    return out;
}

static struct sp_alias *table(const char *text)
{
    struct sp_alias *a = sp_alias_new();

    said[0] = 0;
    CHECK(a != NULL);
    CHECK_INT(sp_alias_read(a, sp_str(text), "aliases", note, NULL), 0);
    return a;
}

static void becomes(const char *text, const char *address, const char *want)
{
    struct sp_alias *a = table(text);

    CHECK_STR(said, "");
    CHECK_STR(expand(a, address, true), want);
    sp_alias_free(a);
}

TEST("an account and a stranger are what they are")
{
    becomes("", "alice@example.org", "same");
    becomes("", "anybody@remote.test", "same");
    becomes("", "anybody+tag@remote.test", "same");
}

TEST("a local address of nobody is unknown")
{
    becomes("", "nobody@example.org", "unknown");
    becomes("", "nobody+tag@example.org", "unknown");
}

TEST("a name without a domain counts in every local domain, and in no other")
{
    becomes("root: alice", "root@example.org", "alice@example.org");
    becomes("Root: alice@example.org", "ROOT@example.net", "alice@example.org");
    becomes("root: alice", "root@remote.test", "same");
}

TEST("a whole address counts in its domain, local or not")
{
    becomes("sales@remote.test: alice@example.org", "sales@remote.test", "alice@example.org");
    becomes("sales@example.net: alice@example.org", "sales@example.org", "unknown");
}

TEST("the whole address goes before the local part, the account before the catch-all")
{
    becomes("info: alice\ninfo@example.org: bob", "info@example.org", "bob@example.org");
    becomes("@example.org: bob", "alice@example.org", "same");
    becomes("@example.org: bob", "whoever@example.org", "bob@example.org");
    becomes("@remote.test: @example.org", "alice@remote.test", "alice@example.org");
}

TEST("an extension is left off where nothing is called so with it")
{
    becomes("", "alice+lists@example.org", "alice@example.org");
    becomes("", "dave+own@example.org", "same");
    becomes("info+x: bob\ninfo: alice", "info+x@example.org", "bob@example.org");
    becomes("info+x: bob\ninfo: alice", "info+y@example.org", "alice@example.org");
}

TEST("lists nest, and everybody gets one copy")
{
    becomes("a: b, c\nb: alice, bob\nc: bob, far@remote.test", "a@example.org",
            "alice@example.org, bob@example.org, far@remote.test");
}

TEST("who is on his own list keeps his mailbox")
{
    becomes("bob: bob, far@remote.test", "bob@example.org",
            "bob@example.org, far@remote.test");
    becomes("bob: \\bob, far@remote.test", "bob@example.org",
            "bob@example.org, far@remote.test");
}

TEST("a circle is found")
{
    becomes("a: b\nb: a", "a@example.org", "loop");
    becomes("a: b\nb: c\nc: a, alice", "a@example.org", "loop");
}

TEST("twenty names deep is deep enough, and a fan of lists costs no more than its members")
{
    char text[4000];
    size_t n = 0;

    for (int i = 0; i < 30; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "n%d: n%d\n", i, i + 1);
    becomes(text, "n0@example.org", "loop");
    n = 0;
    for (int i = 0; i < 18; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "f%d: f%d, F%d@example.org\n", i, i + 1,
                              i + 1);
    snprintf(text + n, sizeof text - n, "f18: alice\n");
    becomes(text, "f0@example.org", "alice@example.org");
}

TEST("there is a most of recipients")
{
    becomes("a: 1@x.test, 2@x.test, 3@x.test, 4@x.test, 5@x.test", "a@example.org",
            "1@x.test, 2@x.test, 3@x.test, 4@x.test, 5@x.test");
    becomes("a: 1@x.test, 2@x.test, 3@x.test, 4@x.test, 5@x.test, 6@x.test", "a@example.org",
            "too many");
}

TEST("commands and files, quoted in every way that is used")
{
    becomes("x: |/bin/cat", "x@example.org", "|/bin/cat as x@example.org");
    becomes("x: \"|/bin/echo a, b \\\"c\\\"\"", "x@example.org",
            "|/bin/echo a, b \"c\" as x@example.org");
    becomes("x: |\"/bin/echo a, b\", /var/log/x.mbox", "x@example.org",
            "|/bin/echo a, b as x@example.org, /var/log/x.mbox as x@example.org");
}

TEST("a member that is not known does not stop the others")
{
    becomes("team: alice, gone", "team@example.org",
            "alice@example.org, !there is no such mailbox here as gone@example.org");
}

TEST("the postmaster is always there")
{
    becomes("", "postmaster@example.net", "alice@example.org");
    becomes("postmaster: bob@example.org", "Postmaster@example.net", "bob@example.org");
}

TEST("entries go on in lines that begin with a blank, comments do not count")
{
    becomes("# list\na: alice,\n   # no part of it\n\tbob\n\nb: far@remote.test\r\n",
            "a@example.org", "alice@example.org, bob@example.org");
    becomes("\"a name\": alice", "\"a name\"@example.org", "alice@example.org");
}

TEST("a database is asked where the files know nothing, and may name addresses only")
{
    becomes("", "sql@example.org", "alice@example.org, carol@remote.test");
    becomes("sql: bob", "sql@example.org", "alice@example.org, carol@remote.test");
    becomes("sql@example.org: bob", "sql@example.org", "bob@example.org");
    becomes("", "evil@example.org", "temporary");
    database_down = true;
    becomes("", "alice@example.org", "temporary");
    database_down = false;
}

TEST("an account that cannot be looked up is not unknown")
{
    accounts_down = true;
    becomes("", "nobody@example.org", "temporary");
    accounts_down = false;
}

TEST("without known-only every local part has a mailbox, its extension left off")
{
    struct sp_alias *a = table("");

    CHECK_STR(expand(a, "nobody@example.org", false), "same");
    CHECK_STR(expand(a, "nobody+x@example.org", false), "nobody@example.org");
    sp_alias_free(a);
}

TEST("a list is read from its file; while it cannot be, the mail waits")
{
    struct sp_alias *a = table("team: :include:/lists/team, bob");

    CHECK_STR(said, "");
    CHECK_STR(sp_alias_include(a, 0), "/lists/team");
    CHECK(sp_alias_include(a, 1) == NULL);
    CHECK_STR(expand(a, "team@example.org", true), "temporary");
    CHECK_INT(sp_alias_list(a, "/lists/team",
                            SP_LIT("# the team\nalice\nfar@remote.test, |/bin/sh\n"
                                   ":include:/lists/team\n"),
                            note, NULL), 0);
    CHECK_STR(said, "3 |/bin/sh: commands and files are possible in alias files only\n");
    CHECK_STR(expand(a, "team@example.org", true), "loop");
    sp_alias_free(a);
    a = table("team: :include:/lists/team, bob");
    CHECK_INT(sp_alias_list(a, "/lists/team", SP_LIT("alice\nfar@remote.test"), note, NULL), 0);
    CHECK_STR(expand(a, "team@example.org", true),
              "alice@example.org, far@remote.test, bob@example.org");
    sp_alias_free(a);
}

TEST("what is wrong in a file is said with its line, and the rest counts")
{
    struct sp_alias *a = table("  bob\nno colon\nx: \na: alice\na: bob\nb: bob, not an address\n"
                               "c: |cat\nd: :include:relative\n@: bob\n");

    CHECK_STR(said, "1 bob: this line continues nothing\n"
                    "2 no colon: an alias is written `name: target, target`\n"
                    "3 x: it leads nowhere\n"
                    "5 a: this name was there before; the first one counts\n"
                    "6 not an address: this is no address\n"
                    "7 |cat: a program needs an absolute path: no shell looks for it\n"
                    "7 c: it leads nowhere\n"
                    "8 :include:relative: a list needs an absolute path\n"
                    "8 d: it leads nowhere\n"
                    "9 @: bob: an alias is written `name: target, target`\n");
    CHECK_INT(sp_alias_count(a), 2);
    CHECK_STR(expand(a, "a@example.org", true), "alice@example.org");
    CHECK_STR(expand(a, "b@example.org", true), "bob@example.org");
    sp_alias_free(a);
}

TEST("any octets are read without harm")
{
    unsigned seed = 1;
    char text[600];

    for (int round = 0; round < 3000; round++) {
        static const char some[] = "a:b,@|/\"\\\n \t#+.:include:\r\x01\xc3";
        struct sp_alias *a = sp_alias_new();
        size_t n = (size_t)(round % 300);

        for (size_t i = 0; i < n; i++) {
            seed = seed * 1103515245u + 12345u;
            text[i] = some[(seed >> 16) % (sizeof some - 1)];
        }
        CHECK_INT(sp_alias_read(a, (struct sp_str){text, n}, "x", NULL, NULL), 0);
        (void)expand(a, "a@example.org", true);
        sp_alias_free(a);
    }
}

TEST("a hundred thousand names are found")
{
    struct sp_buf text;
    struct sp_alias *a = sp_alias_new();

    sp_buf_init(&text, 16 << 20);
    for (int i = 0; i < 100000; i++)
        (void)sp_buf_printf(&text, "n%d@remote.test: far%d@remote.test\n", i, i);
    CHECK_INT(sp_alias_read(a, sp_buf_view(&text), "x", NULL, NULL), 0);
    CHECK_STR(expand(a, "n77777@remote.test", true), "far77777@remote.test");
    CHECK_STR(expand(a, "n100000@remote.test", true), "same");
    sp_buf_free(&text);
    sp_alias_free(a);
}

T_MAIN
