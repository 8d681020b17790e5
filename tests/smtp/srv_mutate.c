/*
 * srv_mutate.c - breaks each row of the rule tables once; stories or explorer must see it.
 *
 *     srv_mutate STORIES [DEPTH]        prints who killed how many, and who survived
 *
 * The engine is compiled a second time with tables that can be written (SP_ROWS).  Each
 * mutation runs in a child: a wrong answer, an assert, a crash or a hang is a kill.
 * Mutations that cannot be seen from outside are listed below, each with its reason; one
 * that survives without being listed fails the test, and so does a listed one that dies.
 * Those are shown to the expectations written by hand (srv_rules.c), too; and a row of
 * which no mutation was noticed by any of the three fails the test.
 */
#include "alloc.h"
#include "explore_srv.h"
#include "rules.h"
#include "srv_play.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Nobody can see these from outside. */
static const struct {
    const char *what, *why;
} unseen[] = {
#include "srv_mutate_unseen.h"
};

static char **stories;
static size_t nstories;
static unsigned depth = 4;
static unsigned by_story, by_explorer, survived, surprises;
static bool is_unseen_seen[sizeof unseen / sizeof *unseen];

/* ---- Wiping: a row is looked up by its member ------------------------------------------- */

static const char *wipe_member;
static unsigned wipe_flip;

unsigned sp_wiped_at(const char *member, unsigned at)
{
    return wipe_member && strcmp(member, wipe_member) == 0 ? at ^ wipe_flip : at;
}

/* ---- One mutation ------------------------------------------------------------------------- */

static bool story_kills(void)
{
    for (size_t i = 0; i < nstories; i++) {
        struct srv_play_result r;
        struct sp_story st;
        bool good;

        if (sp_story_read(&st, stories[i], NULL) < 0)
            return true;
        good = !st.server || srv_play(&st, 0, true, &r);
        if (st.server)
            free(r.out);
        sp_story_free(&st);
        if (!good)
            return true;
    }
    return false;
}

enum killer { STORIES, EXPLORER, EXPECTATIONS };
int rules_main(int argc, char **argv); /* srv_rules.c */

static int notices(enum killer who)
{
    char name[] = "srv_rules", *argv[] = {name, NULL};

    switch (who) {
    case STORIES:
        return story_kills();
    case EXPLORER:
        return explore_all(depth, NULL, true) != 0;
    case EXPECTATIONS:
        return rules_main(1, argv);
    }
    return 0;
}

/* Did it notice?  A crash, an assert and a hang count for whoever ran. */
static int in_child(enum killer who)
{
    int status;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        struct rlimit none = {0, 0};

        setrlimit(RLIMIT_CORE, &none);
        if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
            _exit(9);
        alarm(60);
        _exit(notices(who));
    }
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        return 0;
    return status != 0;
}

static bool excused(const char *what)
{
    for (size_t i = 0; i < sizeof unseen / sizeof *unseen; i++)
        if (strcmp(unseen[i].what, what) == 0)
            return is_unseen_seen[i] = true;
    return false;
}

/* A row is the first two words of what was broken: "verb EHLO". */
static struct row {
    char name[80];
    unsigned tried, noticed;
} rows[400];
static size_t nrows;

static struct row *row_of(const char *what)
{
    const char *end = strchr(what, ' ');
    size_t n;

    end = end ? strchr(end + 1, ' ') : NULL;
    n = end ? (size_t)(end - what) : strlen(what);
    for (size_t i = 0; i < nrows; i++)
        if (strlen(rows[i].name) == n && memcmp(rows[i].name, what, n) == 0)
            return &rows[i];
    if (nrows == sizeof rows / sizeof *rows)
        abort();
    snprintf(rows[nrows].name, sizeof rows[nrows].name, "%.*s", (int)n, what);
    return &rows[nrows++];
}

static void judge(const char *what)
{
    bool known = excused(what);
    struct row *row = row_of(what);
    int story = in_child(STORIES), explorer = story ? 0 : in_child(EXPLORER);

    row->tried++;
    if (story || explorer || in_child(EXPECTATIONS))
        row->noticed++;

    by_story += story;
    by_explorer += explorer;
    if (story || explorer) {
        if (known) {
            printf("%s is listed as unseen, and was seen\n", what);
            surprises++;
        }
        return;
    }
    survived++;
    if (!known) {
        printf("survived: %s\n", what);
        surprises++;
    }
}

static void flip(unsigned *at, unsigned bit, const char *table, const char *row,
                 const char *column)
{
    char what[120];

    snprintf(what, sizeof what, "%s %s %s ^ %#x", table, row, column, bit);
    *at ^= bit;
    judge(what);
    *at ^= bit;
}

/* ---- All of them ----------------------------------------------------------------------------- */

static void verbs(void)
{
    for (size_t i = 0; i < sp_nverbs; i++) {
        struct sp_verb_rule *v = &sp_verbs[i];

        /* Of a verb that is refused in any case only these are asked for. */
        for (unsigned bit = SP_F_CLEAR; bit <= SP_F_NOCERT; bit <<= 1)
            if (v->verb != SP_V_NOT_IMPLEMENTED ||
                (bit & (SP_F_CLEAR | SP_F_IDLE | SP_F_NOCERT)))
                flip(&v->flags, bit, "verb", v->name, "flags");
        flip(&v->kinds, 1u << SP_SRV_SUBMISSION, "verb", v->name, "kinds");
        flip(&v->kinds, 1u << SP_SRV_LMTP, "verb", v->name, "kinds");
        if (v->verb != SP_V_NOT_IMPLEMENTED)
            flip(&v->ext, v->ext ? v->ext : (uint32_t)SP_EXT_XCLIENT, "verb", v->name,
                 "ext");
    }
}

static void mechanisms(void)
{
    for (size_t i = 0; i < sp_nmechs; i++)
        for (unsigned bit = SP_M_TLS; bit <= SP_M_ERROR; bit <<= 1)
            flip(&sp_mechs[i].flags, bit, "mechanism", sp_mech_name(sp_mechs[i].mech),
                 "flags");
}

static void extensions(void)
{
    for (size_t i = 0; i < sp_nexts; i++) {
        struct sp_ext_rule *x = &sp_exts[i];

        for (unsigned bit = SP_X_CLEAR; bit <= SP_X_POLICY; bit <<= 1)
            flip(&x->flags, bit, "extension", x->keyword, "flags");
        flip(&x->implies,
             x->implies                 ? x->implies
             : x->ext == SP_EXT_XCLIENT ? (uint32_t)SP_EXT_XFORWARD
                                        : (uint32_t)SP_EXT_XCLIENT,
             "extension", x->keyword, "implies");
    }
}

static void parameters(void)
{
    for (size_t i = 0; i < sp_nparams; i++) {
        struct sp_param_rule *p = &sp_params[i];
        enum sp_verb verb = p->verb;
        char what[80];

        flip(&p->ext, p->ext | SP_EXT_XCLIENT, "parameter", p->name, "ext");
        p->verb = verb == SP_V_MAIL ? SP_V_RCPT : SP_V_MAIL;
        snprintf(what, sizeof what, "parameter %s verb", p->name);
        judge(what);
        p->verb = verb;
        p->lenient = !p->lenient;
        snprintf(what, sizeof what, "parameter %s lenient", p->name);
        judge(what);
        p->lenient = !p->lenient;
        p->value = !p->value;
        snprintf(what, sizeof what, "parameter %s value", p->name);
        judge(what);
        p->value = !p->value;
    }
}

static void replies(void)
{
    static const char *const names[] = {
#define NAME(id, code, enh, text, cite) #id,
        SP_REPLIES(NAME)
#undef NAME
    };

    for (int r = SP_R_NONE + 1; r < SP_R_COUNT; r++) {
        struct sp_reply_rule *rule =
            (struct sp_reply_rule *)(uintptr_t)sp_reply_rule((enum sp_r)r);
        int code = rule->code;
        char what[80];

        rule->code = code / 100 == 5 ? code - 100 : code + 100;
        snprintf(what, sizeof what, "reply %s", names[r]);
        judge(what);
        rule->code = code;
    }
}

static void wiping(void)
{
    static const char *const members[] = {
#define NAME(kind, type, name, at, why) #name,
        SP_SRV_FIELDS(NAME)
#undef NAME
    };

    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        for (unsigned at = SP_AT_RSET; at <= SP_AT_TLS; at <<= 1) {
            char what[80];

            wipe_member = members[i];
            wipe_flip = at;
            snprintf(what, sizeof what, "field %s ^ %#x", members[i], at);
            judge(what);
        }
    wipe_member = NULL;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    nstories = sp_story_list(argc > 1 ? argv[1] : "stories", &stories);
    if (argc > 2)
        depth = (unsigned)strtoul(argv[2], NULL, 10);
    if (nstories == 0 || in_child(STORIES) || in_child(EXPLORER) ||
        in_child(EXPECTATIONS)) {
        printf("nothing is broken yet, and it fails\n0 passed, 1 failed\n");
        return 1;
    }
    verbs();
    mechanisms();
    extensions();
    parameters();
    replies();
    wiping();
    for (size_t i = 0; i < sizeof unseen / sizeof *unseen; i++)
        if (!is_unseen_seen[i]) {
            printf("%s is listed as unseen, and is no mutation\n", unseen[i].what);
            surprises++;
        }
    for (size_t i = 0; i < nrows; i++)
        if (rows[i].noticed == 0) {
            printf("row %s: %u mutations and none was noticed\n", rows[i].name,
                   rows[i].tried);
            surprises++;
        }
    for (size_t i = 0; i < nstories; i++)
        sp_free(stories[i]);
    sp_free(stories);
    printf("%zu rows\n", nrows);
    printf(
        "%u mutations: %u killed by a story, %u by the explorer, %u cannot be seen\n",
        by_story + by_explorer + survived, by_story, by_explorer, survived);
    printf("%d passed, %d failed\n", surprises == 0, surprises != 0);
    return surprises != 0;
}
