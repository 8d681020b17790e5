/*
 * sendmail.c - called as sendmail, mailq or newaliases.
 *
 * Its options are older than getopt: some letters take a value that may be joined, others
 * mean nothing any more and must be swallowed, because programs give them.
 */
#include "cli.h"
#include "send.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SM_RCPT_MAX = 10000 };

static const struct sp_option options[] = {
    {"from", 'f', "ADDRESS", "reverse-path (also -r)"},
    {"read-recipients", 't', NULL, "take recipients from To, Cc and Bcc"},
    {"notify", 'N', "WHEN", "never, or success,failure,delay"},
    {"ret", 'R', "WHAT", "full or hdrs"},
    {"envid", 'V', "ID", "an identifier that notices repeat"},
    {"trace", 'v', NULL, "show the dialogue"},
    {"quiet", 'q', NULL, "say nothing when it went well"},
    SP_OPT_END,
};

static const struct sp_command command = {
    .name = "sendmail",
    .usage = "[-i] [-t] [-f ADDRESS] [-F NAME] [-N WHEN] [-R WHAT] [-V ID] [-v] [--] "
             "[RECIPIENT ...] < message",
    .options = options,
};

struct mode {
    struct sp_args a;
    struct sp_send_more more;
    char task; /* of -b: m sends */
};

static int give(struct mode *m, char letter, const char *value)
{
    for (const struct sp_option *o = options; o->name; o++)
        if (o->letter == letter) {
            if (m->a.n_given == SP_ARGS_MAX)
                return sp_usage_error(&m->a, "too many options");
            m->a.given[m->a.n_given].option = o;
            m->a.given[m->a.n_given++].value = value;
        }
    return 0;
}

/* clang-format off */
enum meaning { NOTHING, NOTHING_VALUE, NOTHING_REST, SWITCH, VALUE, NAME, DOT, O, TASK };

static const struct {
    char letter;
    enum meaning meaning;
    char as; /* letter of the option it sets */
} letters[] = {
    {'t', SWITCH, 't'}, {'v', SWITCH, 'v'},
    {'f', VALUE, 'f'},  {'r', VALUE, 'f'}, {'N', VALUE, 'N'}, {'R', VALUE, 'R'}, {'V', VALUE, 'V'},
    {'F', NAME},        {'i', DOT},        {'o', O},          {'b', TASK},
    {'q', NOTHING_REST}, {'d', NOTHING_REST}, {'e', NOTHING_REST}, {'A', NOTHING_REST},
    {'B', NOTHING_VALUE}, {'C', NOTHING_VALUE}, {'h', NOTHING_VALUE}, {'L', NOTHING_VALUE},
    {'O', NOTHING_VALUE}, {'p', NOTHING_VALUE}, {'X', NOTHING_VALUE},
    {'m', NOTHING}, {'n', NOTHING}, {'s', NOTHING}, {'G', NOTHING}, {'U', NOTHING}, {'x', NOTHING},
};
/* clang-format on */

/* One word that begins with a hyphen; *i moves on when a value is the next word. */
static int option_word(struct mode *m, int argc, char **argv, int *i)
{
    for (const char *p = argv[*i] + 1; *p; p++) {
        const char *value = p[1] ? p + 1 : NULL;
        size_t k = 0, n = sizeof letters / sizeof letters[0];
        int rc = 0;

        while (k < n && letters[k].letter != *p)
            k++;
        if (k == n)
            return sp_usage_error(&m->a, "there is no option -%c", *p);
        if (!value && (letters[k].meaning == VALUE || letters[k].meaning == NAME ||
                       letters[k].meaning == NOTHING_VALUE)) {
            if (*i + 1 == argc)
                return sp_usage_error(&m->a, "-%c wants a value", *p);
            value = argv[++*i];
        }
        switch (letters[k].meaning) {
        case NOTHING:
            continue;
        case SWITCH:
            rc = give(m, letters[k].as, NULL);
            if (rc)
                return rc;
            continue;
        case DOT:
            m->more.dot_ends = false;
            continue;
        case VALUE:
            return give(m, letters[k].as, value);
        case NAME:
            m->more.full_name = value;
            return 0;
        case O:
            if (value && strcmp(value, "i") == 0)
                m->more.dot_ends = false;
            return 0;
        case TASK:
            m->task = value ? *value : 'm';
            return 0;
        case NOTHING_VALUE:
        case NOTHING_REST:
            return 0;
        }
    }
    return 0;
}

static int mailq(void)
{
    static char words[3][10] = {"sallyport", "queue", "list"};
    char *argv[] = {words[0], words[1], words[2], NULL};

    return sp_command_run(&sp_cmd_main, "sallyport", 3, argv);
}

static int newaliases(void)
{
    puts("newaliases: there is no alias database here, so nothing is to be done");
    return 0;
}

static int do_task(struct mode *m)
{
    switch (m->task) {
    case 'm':
        return sp_send_run(&m->a, &m->more);
    case 'p':
        return mailq();
    case 'i':
    case 'I':
        return newaliases();
    case 's':
        return sp_fail(EX_UNAVAILABLE,
                       "-bs: SMTP on standard input is not spoken here; "
                       "send the message with -t, or connect to the server");
    case 'd':
    case 'D':
        return sp_fail(EX_UNAVAILABLE,
                       "-b%c: the server is started by `sallyport serve`", m->task);
    default:
        return sp_usage_error(&m->a, "there is no mode -b%c", m->task);
    }
}

/* "login@host": the sender when nothing else tells. */
static const char *own_address(void)
{
    static char text[520];
    const struct passwd *pw = getpwuid(getuid());
    char host[256] = "";

    if (gethostname(host, sizeof host - 1) < 0 || !host[0])
        snprintf(host, sizeof host, "localhost");
    snprintf(text, sizeof text, "%s@%s", pw ? pw->pw_name : "nobody", host);
    return text;
}

int sp_sendmail_main(const char *name, int argc, char **argv)
{
    static struct mode m;
    static const char *rcpt[SM_RCPT_MAX];
    int i = 1, rc;

    if (strcmp(name, "mailq") == 0)
        return mailq();
    if (strcmp(name, "newaliases") == 0)
        return newaliases();
    m.a.cmd = &command;
    m.task = 'm';
    m.more.dot_ends = true;
    m.more.rcpt = rcpt;
    m.more.fallback_from = own_address();
    for (bool options_over = false; i < argc; i++) {
        if (!options_over && strcmp(argv[i], "--") == 0) {
            options_over = true;
        } else if (!options_over && argv[i][0] == '-' && argv[i][1]) {
            rc = option_word(&m, argc, argv, &i);
            if (rc)
                return rc;
        } else if (m.more.n_rcpt == SM_RCPT_MAX) {
            return sp_usage_error(&m.a, "more than %d recipients", SM_RCPT_MAX);
        } else {
            rcpt[m.more.n_rcpt++] = argv[i];
        }
    }
    rc = give(&m, 'q', NULL); /* programs take any output for a complaint */
    return rc ? rc : do_task(&m);
}
