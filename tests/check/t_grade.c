/* t_grade.c - stories as cases, and what is seen of a client's octets. */
#include "grade_i.h"

#include "alloc.h"
#include "t.h"
#include "text.h"

#include <stdlib.h>
#include <unistd.h>

/* ---- a run without sockets ---- */

static struct sp_grade_options options;
static struct grade_line record[GRADE_RECORD];

static struct grade *new_grade(void)
{
    struct grade *g = sp_alloc(sizeof *g);
    struct sp_err err = {0};

    g->o = &options;
    g->record = record;
    snprintf(g->password, sizeof g->password, "Tr0ub4dorAndThreeMore456");
    snprintf(g->marker, sizeof g->marker, "markermarkermarkermarker");
    CHECK_INT(grade_load(g, NULL, &err), 0);
    CHECK_STR(err.text, "");
    g->c = &g->cases[1];
    grade_forget(g);
    return g;
}

static void free_grade(struct grade *g)
{
    grade_forget(g);
    grade_unload(g);
    sp_free(g);
}

static bool sees(const struct grade *g, enum grade_seen s)
{
    return (g->seen & SEEN_BIT(s)) != 0;
}

static bool finds(const struct grade *g, enum sp_finding_id id)
{
    for (size_t i = 0; i < g->n_pending; i++)
        if (g->pending[i].id == id)
            return true;
    return false;
}

/* ---- stories ---- */

TEST("every story that is built in is understood, names its rule and stands in order")
{
    struct grade *g = new_grade();

    CHECK(g->n_cases > 60);
    CHECK_STR(g->cases[0].name, "common");
    CHECK_STR(g->cases[1].name, "ordinary");
    for (size_t i = 1; i < g->n_cases; i++) {
        CHECK(strlen(g->cases[i].when) > 5);
        CHECK_INT(sp_check_row(g->cases[i].check)->side, SP_SIDE_CLIENT);
        CHECK(i == 1 || g->cases[i].check >= g->cases[i - 1].check);
        for (size_t k = 1; k < i; k++)
            CHECK(strcmp(g->cases[i].name, g->cases[k].name) != 0);
    }
    free_grade(g);
}

TEST("every check of clients has a case")
{
    struct grade *g = new_grade();

    for (int c = 0; c < SP_CHECK_COUNT; c++) {
        bool there = sp_check_row((enum sp_check_id)c)->side != SP_SIDE_CLIENT;

        for (size_t i = 1; i < g->n_cases; i++)
            there = there || g->cases[i].check == (enum sp_check_id)c;
        if (!there)
            t_bad++, printf("no case for %s\n", sp_check_row((enum sp_check_id)c)->id);
    }
    free_grade(g);
}

static int load(const char *text, char *words, size_t cap)
{
    char dir[] = "/tmp/t_grade.XXXXXX", path[64];
    struct grade *g = sp_alloc(sizeof *g);
    struct sp_err err = {0};
    FILE *f;
    int rc;

    g->o = &options;
    CHECK(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/own.story", dir);
    f = fopen(path, "w");
    fputs(text, f);
    fclose(f);
    rc = grade_load(g, dir, &err);
    snprintf(words, cap, "%s", err.text);
    if (rc == 0) {
        CHECK_INT(g->n_cases, 3); /* the two that are always there, and this one */
        CHECK_STR(g->cases[2].name, "own");
    }
    grade_unload(g);
    sp_free(g);
    unlink(path);
    rmdir(dir);
    return rc;
}

TEST("a story of one's own is read; what is wrong in it is named")
{
    static const struct {
        const char *text, *words;
    } bad[] = {
        {"# x: y\nC: EHLO\n", "server check=ID"},
        {"# x: y\nserver check=C99\n", "check=C99"},
        {"# x: y\nserver check=C01\nS: 220 x\n", "own.story:3"},
        {"# x: y\nserver check=C01 wings=2\n", "wings=2"},
        {"# x: y\nserver check=C01 each=sea\nC: @\n", "each=sea"},
        {"# x: y\nserver check=C01\nC: @\n", "own.story:3"},
        {"# x: y\nserver check=C01\nC: (up) MAIL\n", "own.story:3"},
        {"# x: y\nserver check=C01\n= no-such-finding: tls\n", "own.story:3"},
        {"# x: y\nserver check=C01\n= no-quit: flying\n", "own.story:3"},
        {"# x: y\nserver check=C01\nS~ 250\n", "own.story:3"},
        {"nonsense\n", "own.story:1"},
    };
    char words[400];

    CHECK_INT(load("# x: y\nserver check=C13\nC: (tls 2) RCPT\nS: 421 bye\n= no-quit: "
                   "tls !quit | {when}\n",
                   words, sizeof words),
              0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK(load(bad[i].text, words, sizeof words) < 0);
        if (!strstr(words, bad[i].words))
            t_bad++, printf("\"%s\" does not say %s\n", words, bad[i].words);
    }
}

TEST("conditions: all words must hold, ! turns one round, unknown ones are an error")
{
    uint64_t seen = SEEN_BIT(SEEN_TLS) | SEEN_BIT(SEEN_SUCCESS);
    bool hold;

    CHECK(grade_holds(seen, SP_LIT("tls success"), &hold) == 0 && hold);
    CHECK(grade_holds(seen, SP_LIT("tls !success"), &hold) == 0 && !hold);
    CHECK(grade_holds(seen, SP_LIT(" !delivered  tls "), &hold) == 0 && hold);
    CHECK(grade_holds(seen, SP_LIT("delivered"), &hold) == 0 && !hold);
    CHECK(grade_holds(seen, SP_LIT("tls delivred"), &hold) < 0);
    CHECK(grade_holds(seen, SP_LIT("!"), &hold) < 0);
}

static const char *answer(struct grade *g, struct grade_conn *c, const char *said)
{
    const struct grade_rule *r = grade_match(g, c, sp_str(said));

    return r && r->n && r->step[0].kind == SP_STORY_SERVER ? r->step[0].text : "";
}

TEST("a rule is chosen by state and turn: the story's own first, then the common ones")
{
    struct grade *g = new_grade();
    struct grade_conn c = {.fd = -1};

    g->login_wanted = true;
    CHECK_STR(answer(g, &c, "MAIL FROM:<a@b>"),
              "530 5.7.0 Must issue a STARTTLS command first\r\n");
    c.tls = true;
    CHECK_STR(answer(g, &c, "mail from:<a@b>"),
              "530 5.7.0 Authentication required\r\n");
    c.login = true;
    CHECK_STR(answer(g, &c, "MAIL FROM:<a@b>"), "250 2.1.0 Sender ok\r\n");
    CHECK_STR(answer(g, &c, "MAILBOX"), "");
    for (size_t i = 0; i < g->n_cases; i++)
        if (strcmp(g->cases[i].name, "recipient-refused") == 0)
            g->c = &g->cases[i];
    CHECK(!sees(g, SEEN_FIRED));
    CHECK_STR(answer(g, &c, "RCPT TO:<a@b>"), "250 2.1.5 Recipient ok\r\n");
    CHECK_STR(answer(g, &c, "RCPT TO:<a@b>"), "550 5.1.1 No such user\r\n");
    CHECK(sees(g, SEEN_FIRED));
    CHECK_STR(answer(g, &c, "RCPT TO:<a@b>"), "250 2.1.5 Recipient ok\r\n");
    free_grade(g);
}

/* ---- secrets ---- */

static void say(struct grade *g, struct grade_conn *c, const char *line)
{
    grade_look(g, c, sp_str(line), true);
}

static void base64(const char *fmt, const char *secret, char *out, size_t cap)
{
    char raw[200];
    int n = snprintf(raw, sizeof raw, fmt, 0, 0, secret);

    n = sp_base64_encode(raw, (size_t)n, out, cap - 1);
    out[n > 0 ? n : 0] = '\0';
}

TEST("the password is seen in every form, and the record holds it in none")
{
    static const char *const forms[] = {"%c%cX%s", "%c%c%s", "ab%c%cxyz%s,n=1",
                                        "%c%clonger text in front %s"};
    struct grade *g = new_grade();
    struct grade_conn c = {.fd = -1, .no = 1};
    char b[400], line[500];

    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        for (int cut = 0; cut < 2; cut++) {
            base64(forms[i], g->password, b, sizeof b);
            if (cut) /* without its padding */
                b[strcspn(b, "=")] = '\0';
            snprintf(line, sizeof line, "AUTH X-THING %s", b);
            grade_forget(g);
            say(g, &c, line);
            CHECK(sees(g, SEEN_SECRET_CLEAR));
            CHECK_INT(g->n_record, 1);
            CHECK_STR(record[0].text, "AUTH X-THING [hidden]");
        }
    }
    grade_forget(g);
    snprintf(line, sizeof line, "PASS %s now", g->password);
    say(g, &c, line);
    CHECK(sees(g, SEEN_SECRET_CLEAR));
    CHECK_STR(record[0].text, "PASS [hidden]");
    grade_forget(g);
    c.tls = true;
    say(g, &c, line);
    CHECK(!sees(g, SEEN_SECRET_CLEAR) && sees(g, SEEN_SECRET_TLS));
    free_grade(g);
}

TEST("what is no secret is none: other words, names, EXTERNAL's identity")
{
    static const char *const harmless[] = {
        "EHLO client.example",
        "MAIL FROM:<Tr0ub4dorAndThreeMore45@example.org>",
        "AUTH PLAIN AGFsaWNlAHNlY3JldA==",
        "AUTH EXTERNAL Ym9iQGV4YW1wbGUub3Jn",
        "====",
        "AAAA"};
    struct grade *g = new_grade();
    struct grade_conn c = {.fd = -1, .no = 1};

    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        say(g, &c, harmless[i]);
    CHECK(!sees(g, SEEN_SECRET_CLEAR));
    CHECK_STR(record[2].text, "AUTH PLAIN [hidden]"); /* though it is not ours */
    CHECK_STR(record[3].text, harmless[3]);
    free_grade(g);
}

TEST("a challenge's answer in clear is seen as such")
{
    struct grade *g = new_grade();
    struct grade_conn c = {
        .fd = -1, .no = 1, .mode = TALK_AUTH, .mech = SP_MECH_CRAM_MD5};

    say(g, &c, "*");
    CHECK(!sees(g, SEEN_CHALLENGE_CLEAR));
    say(g, &c, "cHJvYmVyIDAxMjM0NTY3ODlhYmNkZWY=");
    CHECK(sees(g, SEEN_CHALLENGE_CLEAR));
    CHECK_STR(record[1].text, "[hidden]");
    free_grade(g);
}

/* ---- commands ---- */

TEST("parameters need their extension in the list of this TLS state")
{
    struct grade *g = new_grade();
    struct grade_conn c = {.fd = -1, .no = 1, .tls = true};

    snprintf(c.caps[0], sizeof c.caps[0], "250-x\r\n250-SIZE 10\r\n250 STARTTLS\r\n");
    snprintf(c.caps[1], sizeof c.caps[1],
             "250-x\r\n250-8bitmime\r\n250 AUTH PLAIN\r\n");
    say(g, &c, "MAIL FROM:<a@b> BODY=8BITMIME AUTH=<>");
    CHECK_INT(g->n_pending, 0);
    say(g, &c, "MAIL FROM:<a@b> SIZE=10");
    CHECK(finds(g, SP_F_STALE_EXTENSION) && sees(g, SEEN_STALE));
    say(g, &c, "RCPT TO:<a@b> NOTIFY=NEVER");
    CHECK(finds(g, SP_F_PARAMETER_NOT_OFFERED));
    CHECK_INT(g->n_pending, 2);
    say(g, &c, "MAIL FROM: <a@b>");
    CHECK(finds(g, SP_F_BLANK_BEFORE_PATH));
    say(g, &c, "MAIL FROM:a@b");
    CHECK(finds(g, SP_F_NO_ANGLE_BRACKETS));
    say(g, &c, "EHLO");
    CHECK(finds(g, SP_F_EHLO_WITHOUT_NAME));
    CHECK(!finds(g, SP_F_COMMAND_BARE_LF));
    grade_look(g, &c, SP_LIT("NOOP"), false);
    CHECK(finds(g, SP_F_COMMAND_BARE_LF));
    free_grade(g);
}

/* ---- messages ---- */

static void message(struct grade *g, const char *wire, size_t n)
{
    struct grade_conn c = {.fd = -1, .no = 1, .tls = true, .mode = TALK_DATA};

    g->n_pending = 0;
    g->seen = 0;
    sp_buf_init(&c.body, GRADE_IN);
    CHECK_INT(sp_buf_put(&c.body, wire, n), 0);
    grade_look_message(g, &c);
    sp_buf_free(&c.body);
}
#define MESSAGE(g, s) message(g, s, sizeof(s) - 1)

TEST("a message is compared without its stuffing, and what is wrong with it is named")
{
    struct grade *g = new_grade();
    static const char given[] =
        "A: b\r\n\r\n.\r\n..x\r\nThe end markermarkermarkermarker\r\n";
#define END "The end markermarkermarkermarker\r\n"

    char name[] = "mail", *command[] = {name, NULL};

    sp_buf_init(&g->message, 1000);
    CHECK_INT(sp_buf_puts(&g->message, given), 0);
    MESSAGE(g, "A: b\r\nC: d\r\n\r\n..\r\n...x\r\n" END);
    CHECK(g->n_pending == 0 && sees(g, SEEN_FAITHFUL) && sees(g, SEEN_TEXT_TLS));
    MESSAGE(g, "A: b\r\n\r\n..\r\n..x\r\n" END);
    CHECK(finds(g, SP_F_MESSAGE_CHANGED) && !sees(g, SEEN_FAITHFUL));
    CHECK_STR(g->pending[0].fact[1], "line 2 of the body is `.x`, not `..x`");
    options.argv = command;
    MESSAGE(g, "A: b\r\n\r\n..\r\n...x\r\n");
    CHECK(finds(g, SP_F_MESSAGE_CUT));
    MESSAGE(g, "A: b\r\nContent-Type: text/plain; Charset=ISO-8859-1\r\n\r\nx\r\n");
    CHECK_INT(g->n_pending, 0);
    options.queues = true; /* an earlier message, or its bounce */
    MESSAGE(g, "A: b\r\n\r\nMarker anotheranother\r\n");
    CHECK_INT(g->n_pending, 0);
    options.queues = false;
    options.argv = NULL; /* a person wrote it */
    MESSAGE(g, "A: b\r\n\r\nhello\r\n");
    CHECK_INT(g->n_pending, 0);
    MESSAGE(g, "A: b\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n");
    CHECK_INT(g->n_pending, 0);
    MESSAGE(g, "A: b\n\n..\n...x\n" END);
    CHECK(finds(g, SP_F_BARE_LINE_END) && !finds(g, SP_F_SMUGGLING_PASSED_ON));
    MESSAGE(g, "A: b\r\n\r\n..\r\n...x\n.\r\n" END);
    CHECK(finds(g, SP_F_SMUGGLING_PASSED_ON));
    MESSAGE(g, "A: b\r\n\r\n..\r\n...x\r\n\0" END);
    CHECK(finds(g, SP_F_NUL_SENT) && !finds(g, SP_F_BARE_LINE_END));
    MESSAGE(g, "A: b\r\n\r\n..\r\n...x\r\n\xc3\xb6" END);
    CHECK(finds(g, SP_F_8BIT_NOT_OFFERED));
    sp_buf_free(&g->message);
    free_grade(g);
}

T_MAIN
