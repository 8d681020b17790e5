/* milter.c - see milter.h.  The numbers are those of mfdef.h in libmilter. */
#include "milter.h"

#include "alloc.h"

#include <stdio.h>
#include <string.h>

enum { VERSION = 6, VERSION_MIN = 2, SYMLISTS = 7, SYMLIST_MAX = 2048 };

/* Protocol flags (SMFIP_*): what a milter need not hear, and what it does not answer. */
enum {
    NO_CONNECT = 1,
    NO_HELO = 2,
    NO_MAIL = 4,
    NO_RCPT = 8,
    NO_BODY = 0x10,
    NO_HEADERS = 0x20,
    NO_EOH = 0x40,
    NR_HEADER = 0x80,
    NO_UNKNOWN = 0x100,
    NO_DATA = 0x200,
    CAN_SKIP = 0x400,
    RCPT_REJECTED = 0x800,
    NR_CONNECT = 0x1000,
    NR_HELO = 0x2000,
    NR_MAIL = 0x4000,
    NR_RCPT = 0x8000,
    NR_DATA = 0x10000,
    NR_UNKNOWN = 0x20000,
    NR_EOH = 0x40000,
    NR_BODY = 0x80000,
    LEADING_SPACE = 0x100000,
};

/* All that exist but RCPT_REJECTED and the two larger packet sizes.  What a milter of an
 * older version may ask for follows from the version. */
static const uint32_t offered = NO_CONNECT | NO_HELO | NO_MAIL | NO_RCPT | NO_BODY |
                                NO_HEADERS | NO_EOH | NR_HEADER | NO_UNKNOWN | NO_DATA |
                                CAN_SKIP | NR_CONNECT | NR_HELO | NR_MAIL | NR_RCPT |
                                NR_DATA | NR_UNKNOWN | NR_EOH | NR_BODY | LEADING_SPACE;

/* clang-format off */
static const struct stage {
    const char *name;
    char command;
    uint32_t no, nr;
    int symlist;      /* its number in SETSYMLIST, -1: it has no macros */
    uint32_t version; /* that knows it */
} stages[SP_MS_STAGES] = {
    [SP_MS_CONNECT] = {"connect", 'C', NO_CONNECT, NR_CONNECT, 0,  2},
    [SP_MS_HELO]    = {"helo",    'H', NO_HELO,    NR_HELO,    1,  2},
    [SP_MS_MAIL]    = {"mail",    'M', NO_MAIL,    NR_MAIL,    2,  2},
    [SP_MS_RCPT]    = {"rcpt",    'R', NO_RCPT,    NR_RCPT,    3,  2},
    [SP_MS_DATA]    = {"data",    'T', NO_DATA,    NR_DATA,    4,  4},
    [SP_MS_UNKNOWN] = {"unknown", 'U', NO_UNKNOWN, NR_UNKNOWN, -1, 3},
    [SP_MS_HEADER]  = {"header",  'L', NO_HEADERS, NR_HEADER,  -1, 2},
    [SP_MS_EOH]     = {"eoh",     'N', NO_EOH,     NR_EOH,     6,  2},
    [SP_MS_BODY]    = {"body",    'B', NO_BODY,    NR_BODY,    -1, 2},
    [SP_MS_EOM]     = {"eom",     'E', 0,          0,          5,  2},
};

static const struct verdict {
    char reply;
    enum sp_milter_verdict verdict;
    unsigned stages; /* where it may be said */
} verdicts[] = {
#define ANY ((1u << SP_MS_STAGES) - 1)
#define MSG (ANY & ~(1u << SP_MS_CONNECT | 1u << SP_MS_HELO | 1u << SP_MS_UNKNOWN))
    {'c', SP_MV_CONTINUE, ANY},
    {'a', SP_MV_ACCEPT,   ANY},
    {'r', SP_MV_REJECT,   ANY},
    {'t', SP_MV_TEMPFAIL, ANY},
    {'d', SP_MV_DISCARD,  MSG},
    {'y', SP_MV_REPLY,    ANY},
    {'4', SP_MV_SHUTDOWN, ANY},
    {'f', SP_MV_TEMPFAIL, 1u << SP_MS_CONNECT}, /* "connection failure" */
    {'s', SP_MV_CONTINUE, 1u << SP_MS_BODY | 1u << SP_MS_HEADER},
};

static const struct change {
    char reply;
    enum sp_milter_change_kind kind;
    uint32_t right; /* any of them */
    enum { NAME_VALUE = 1, INDEX = 2, ONE = 4, REST = 8, OCTETS = 16 } form;
} changes[] = {
    {'h', SP_MC_ADD_HEADER,    SP_MA_ADD_HEADERS,    NAME_VALUE},
    {'i', SP_MC_INSERT_HEADER, SP_MA_ADD_HEADERS,    INDEX | NAME_VALUE},
    {'m', SP_MC_CHANGE_HEADER, SP_MA_CHANGE_HEADERS, INDEX | NAME_VALUE},
    {'e', SP_MC_CHANGE_FROM,   SP_MA_CHANGE_FROM,    ONE | REST},
    {'+', SP_MC_ADD_RCPT,      SP_MA_ADD_RCPT | SP_MA_ADD_RCPT_PARAM, ONE},
    {'2', SP_MC_ADD_RCPT,      SP_MA_ADD_RCPT_PARAM, ONE | REST},
    {'-', SP_MC_DELETE_RCPT,   SP_MA_DELETE_RCPT,    ONE},
    {'b', SP_MC_BODY,          SP_MA_CHANGE_BODY,    OCTETS},
    {'q', SP_MC_QUARANTINE,    SP_MA_QUARANTINE,     ONE},
};
/* clang-format on */

enum state {
    NEGOTIATING,
    IDLE,
    WAITING, /* for the verdict on m->stage */
    FAILED,
    OVER, /* QUIT was said */
};

struct sp_milter {
    enum state state;
    enum sp_milter_stage stage;
    uint32_t version, actions, steps;
    bool skip[SP_MS_STAGES]; /* SKIP was said in this message */
    bool said_failed;
    unsigned forgotten; /* verdicts still to come for what was aborted */
    enum sp_milter_stage forgotten_stage;
    struct sp_buf in, out;
    size_t used; /* octets of `in` that the last event stood in */
    bool chosen[SYMLISTS];
    char symlist[SYMLISTS][SYMLIST_MAX];
    char text[SP_MILTER_REPLY_MAX];
};

struct sp_milter *sp_milter_new(void)
{
    struct sp_milter *m = sp_alloc(sizeof *m);
    static const unsigned char head[] = {
        0, 0, 0, 13, 'O', 0, 0, 0, VERSION, 0, 0, SP_MA_ALL >> 8, SP_MA_ALL & 255};
    unsigned char steps[] = {offered >> 24, offered >> 16 & 255, offered >> 8 & 255,
                             offered & 255};

    if (!m)
        return NULL;
    sp_buf_init(&m->in, SP_MILTER_PACKET_MAX + 4);
    sp_buf_init(&m->out, SP_MILTER_OUT_MAX);
    if (sp_buf_put(&m->out, head, sizeof head) < 0 ||
        sp_buf_put(&m->out, steps, sizeof steps) < 0) {
        sp_milter_free(m);
        return NULL;
    }
    return m;
}

void sp_milter_free(struct sp_milter *m)
{
    if (!m)
        return;
    sp_buf_free(&m->in);
    sp_buf_free(&m->out);
    sp_free(m);
}

static int fail(struct sp_milter *m, const char *why)
{
    if (m->state != FAILED)
        snprintf(m->text, sizeof m->text, "%s", why);
    m->state = FAILED;
    return -SP_EINPUT;
}

/* ---- to the milter ---- */

static void begin(struct sp_milter *m, size_t *ret_at, char command)
{
    *ret_at = m->out.n;
    if (sp_buf_put(&m->out, "\0\0\0\0", 4) < 0 || sp_buf_put(&m->out, &command, 1) < 0)
        (void)fail(m, "out of memory");
}

static void put(struct sp_milter *m, struct sp_str s)
{
    if (sp_buf_str(&m->out, s) < 0)
        (void)fail(m, "out of memory");
}

/* A string ends at its NUL: one inside would be two. */
static void put_text(struct sp_milter *m, struct sp_str s)
{
    const char *nul = s.n ? memchr(s.p, '\0', s.n) : NULL;

    if (nul)
        s.n = (size_t)(nul - s.p);
    put(m, s);
    put(m, (struct sp_str){"", 1});
}

static void end(struct sp_milter *m, size_t at)
{
    size_t n = m->out.n - at - 4;
    unsigned char *p = (unsigned char *)m->out.p + at;

    if (m->state == FAILED)
        return;
    p[0] = (unsigned char)(n >> 24);
    p[1] = n >> 16 & 255;
    p[2] = n >> 8 & 255;
    p[3] = n & 255;
}

static void put_bare(struct sp_milter *m, char command)
{
    size_t at;

    begin(m, &at, command);
    end(m, at);
}

/* Is it one of the names, separated by blanks or commas, with or without braces? */
static bool listed(const char *list, const char *name)
{
    size_t n = strlen(name);

    for (const char *p = list; *p;) {
        size_t k = strcspn(p, " ,\t");
        const char *word = p;
        size_t len = k;

        if (len > 2 && word[0] == '{' && word[len - 1] == '}') {
            word++;
            len -= 2;
        }
        if (len == n && memcmp(word, name, n) == 0)
            return true;
        p += k;
        p += strspn(p, " ,\t");
    }
    return false;
}

static bool goes(const struct sp_milter *m, const struct sp_milter_macro *macro,
                 enum sp_milter_stage stage)
{
    int list = stages[stage].symlist;

    if (macro->value.n == 0)
        return false;
    if (list >= 0 && m->chosen[list])
        return listed(m->symlist[list], macro->name);
    return macro->stages & 1u << stage;
}

static void put_macros(struct sp_milter *m, enum sp_milter_stage stage,
                       const struct sp_milter_say *what)
{
    bool begun = false;
    size_t at = 0;
    char name[64];

    for (size_t i = 0; i < what->macros; i++) {
        const struct sp_milter_macro *macro = &what->macro[i];

        if (!goes(m, macro, stage))
            continue;
        if (!begun) {
            begin(m, &at, 'D');
            put(m, (struct sp_str){&stages[stage].command, 1});
            begun = true;
        }
        snprintf(name, sizeof name, macro->name[1] ? "{%s}" : "%s", macro->name);
        put_text(m, sp_str(name));
        put_text(m, macro->value);
    }
    if (begun)
        end(m, at);
}

static void put_connect(struct sp_milter *m, const struct sp_milter_say *w)
{
    char port[2] = {(char)(w->port >> 8), (char)(w->port & 255)};

    put_text(m, w->text);
    put(m, (struct sp_str){&w->family, 1});
    if (w->family == 'U')
        return;
    put(m, (struct sp_str){port, 2});
    put_text(m, w->value);
}

/* Without the flag a milter gets the value as sendmail gives it: one blank behind the
 * colon is not part of it. */
static void put_header(struct sp_milter *m, const struct sp_milter_say *w)
{
    struct sp_str v = w->value;

    if (!(m->steps & LEADING_SPACE) && v.n && v.p[0] == ' ') {
        v.p++;
        v.n--;
    }
    put_text(m, w->text);
    put_text(m, v);
}

static void put_stage(struct sp_milter *m, enum sp_milter_stage stage,
                      const struct sp_milter_say *w)
{
    switch (stage) {
    case SP_MS_CONNECT:
        put_connect(m, w);
        return;
    case SP_MS_HEADER:
        put_header(m, w);
        return;
    case SP_MS_MAIL:
    case SP_MS_RCPT:
        put_text(m, w->text);
        for (size_t i = 0; i < w->argc; i++)
            put_text(m, w->argv[i]);
        return;
    case SP_MS_HELO:
    case SP_MS_UNKNOWN:
        put_text(m, w->text);
        return;
    case SP_MS_BODY:
        put(m, w->text);
        return;
    case SP_MS_DATA:
    case SP_MS_EOH:
    case SP_MS_EOM:
    case SP_MS_STAGES:
        return;
    }
}

bool sp_milter_wants(const struct sp_milter *m, enum sp_milter_stage stage)
{
    return m->state != FAILED && m->state != OVER &&
           m->version >= stages[stage].version && !(m->steps & stages[stage].no) &&
           !m->skip[stage];
}

int sp_milter_say(struct sp_milter *m, enum sp_milter_stage stage,
                  const struct sp_milter_say *what)
{
    size_t at;

    if (m->state != IDLE)
        return m->state == FAILED ? -SP_EINPUT : -SP_ESTATE;
    if (stage == SP_MS_MAIL)
        memset(m->skip, 0, sizeof m->skip);
    if (!sp_milter_wants(m, stage) || (stage == SP_MS_BODY && what->text.n == 0))
        return 0;
    put_macros(m, stage, what);
    begin(m, &at, stages[stage].command);
    put_stage(m, stage, what);
    end(m, at);
    if (m->state == FAILED)
        return -SP_ENOMEM;
    if (m->steps & stages[stage].nr)
        return 0;
    m->state = WAITING;
    m->stage = stage;
    return 1;
}

/* libmilter answers nothing to ABORT, but it does to what was under way. */
void sp_milter_abort(struct sp_milter *m)
{
    if (m->state == WAITING) {
        m->forgotten++;
        m->forgotten_stage = m->stage;
        m->state = IDLE;
    }
    if (m->state == IDLE)
        put_bare(m, 'A');
}

void sp_milter_quit(struct sp_milter *m)
{
    if (m->state == IDLE || m->state == WAITING) {
        put_bare(m, 'Q');
        m->state = OVER;
    }
}

const char *sp_milter_out(const struct sp_milter *m, size_t *ret_len)
{
    *ret_len = m->out.n;
    return m->out.p;
}

void sp_milter_out_ack(struct sp_milter *m, size_t len)
{
    sp_buf_drop(&m->out, len);
}

/* ---- from the milter ---- */

static uint32_t number(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;

    return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

size_t sp_milter_feed(struct sp_milter *m, const char *data, size_t len)
{
    size_t room;

    if (m->state == FAILED || m->state == OVER)
        return len;
    if (m->used) {
        sp_buf_drop(&m->in, m->used);
        m->used = 0;
    }
    room = m->in.max - m->in.n;
    if (len > room)
        len = room;
    if (len && sp_buf_put(&m->in, data, len) < 0)
        (void)fail(m, "out of memory");
    return len;
}

static bool cut_text(struct sp_str *rest, struct sp_str *ret)
{
    const char *nul = rest->n ? memchr(rest->p, '\0', rest->n) : NULL;

    if (!nul)
        return false;
    *ret = (struct sp_str){rest->p, (size_t)(nul - rest->p)};
    rest->n -= ret->n + 1;
    rest->p = nul + 1;
    return true;
}

static int take_symlists(struct sp_milter *m, struct sp_str rest)
{
    struct sp_str names;

    while (rest.n) {
        uint32_t which;

        if (rest.n < 5)
            return fail(m, "a list of macros is cut off");
        which = number(rest.p);
        rest.p += 4;
        rest.n -= 4;
        if (!cut_text(&rest, &names) || which >= SYMLISTS || names.n >= SYMLIST_MAX)
            return fail(m, "a list of macros makes no sense");
        m->chosen[which] = true;
        memcpy(m->symlist[which], names.n ? names.p : "", names.n);
        m->symlist[which][names.n] = '\0';
    }
    return 0;
}

static void negotiated(struct sp_milter *m, struct sp_str d,
                       struct sp_milter_event *ret)
{
    /* What older versions know of it: version 2 has 0x7f, 4 and 5 have nearly the same. */
    if (d.n < 12) {
        (void)fail(m, "its answer to the negotiation is too short");
        return;
    }
    m->version = number(d.p);
    m->actions = number(d.p + 4);
    m->steps = number(d.p + 8);
    if (m->version < VERSION_MIN || m->version > VERSION)
        (void)fail(m, "it speaks a version of the protocol that we do not");
    else if (m->actions & ~(uint32_t)SP_MA_ALL)
        (void)fail(m, "it wants actions that were not offered");
    else if (m->steps & ~offered)
        (void)fail(m, "it wants protocol steps that were not offered");
    else if (take_symlists(m, (struct sp_str){d.p + 12, d.n - 12}) == 0) {
        m->state = IDLE;
        ret->type = SP_MILTER_READY;
    }
}

static const char *const bad_reply = "its reply is no SMTP reply with code 4xx or 5xx";

/* "550-5.7.1 first CR LF 550 5.7.1 second": one code, one enhanced code, lines. */
static void reply_text(struct sp_milter *m, struct sp_str d,
                       struct sp_milter_event *ret)
{
    size_t n = 0;
    bool first = true;

    while (d.n) {
        struct sp_str line = sp_str_cut(&d, '\n');
        int code, e[3] = {0, 0, 0};
        size_t used;

        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        if (line.n < 3 || (line.p[0] != '4' && line.p[0] != '5') ||
            (line.n > 3 && line.p[3] != ' ' && line.p[3] != '-')) {
            (void)fail(m, bad_reply);
            return;
        }
        code = (line.p[0] - '0') * 100 + (line.p[1] - '0') * 10 + (line.p[2] - '0');
        if (line.p[1] < '0' || line.p[1] > '9' || line.p[2] < '0' || line.p[2] > '9' ||
            (!first && code != ret->code)) {
            (void)fail(m, bad_reply);
            return;
        }
        line.p += line.n > 3 ? 4 : 3;
        line.n -= line.n > 3 ? 4 : 3;
        used = sp_str_enhanced(line, e);
        if (used && e[0] == code / 100) {
            if (first)
                memcpy(ret->enh, e, sizeof e);
            used += used < line.n;
            line.p += used;
            line.n -= used;
        }
        if (n + line.n + 2 > sizeof m->text) /* the rest is lost, not the verdict */
            break;
        if (!first)
            m->text[n++] = '\n';
        for (size_t i = 0; i < line.n; i++)
            m->text[n++] = (char)(line.p[i] < 32 || line.p[i] > 126 ? '?' : line.p[i]);
        ret->code = code;
        first = false;
    }
    if (first)
        (void)fail(m, bad_reply);
    ret->text = (struct sp_str){m->text, n};
}

static bool verdict(struct sp_milter *m, char reply, struct sp_str d,
                    struct sp_milter_event *ret)
{
    for (size_t i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++) {
        const struct verdict *v = &verdicts[i];

        if (v->reply != reply)
            continue;
        if (!(v->stages & 1u << m->stage) || (reply == 's' && !(m->steps & CAN_SKIP))) {
            (void)fail(m, "this answer does not belong to this stage");
            return true;
        }
        m->state = IDLE;
        if (reply == 's')
            m->skip[m->stage] = true;
        ret->type = SP_MILTER_VERDICT;
        ret->stage = m->stage;
        ret->verdict = v->verdict;
        if (reply == 'y') {
            if (d.n && d.p[d.n - 1] == '\0')
                d.n--;
            reply_text(m, d, ret);
        }
        return true;
    }
    return false;
}

static bool name_ok(struct sp_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 33 || (unsigned char)s.p[i] > 126 || s.p[i] == ':')
            return false;
    return s.n > 0 && s.n < 200;
}

static bool change_parts(const struct change *c, struct sp_str d,
                         struct sp_milter_change *to)
{
    if (c->form & OCTETS) {
        to->value = d;
        return true;
    }
    if (c->form & INDEX) {
        if (d.n < 4)
            return false;
        to->index = number(d.p);
        d.p += 4;
        d.n -= 4;
    }
    if (!cut_text(&d, &to->name))
        return false;
    if (c->form & NAME_VALUE)
        return cut_text(&d, &to->value) && d.n == 0 && name_ok(to->name);
    if (c->form & REST && d.n)
        return cut_text(&d, &to->value) && d.n == 0;
    return d.n == 0;
}

static bool change(struct sp_milter *m, char reply, struct sp_str d,
                   struct sp_milter_event *ret)
{
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        const struct change *c = &changes[i];

        if (c->reply != reply)
            continue;
        ret->change.kind = c->kind;
        if (m->stage != SP_MS_EOM)
            (void)fail(m, "it changes the message before its end");
        else if (!(m->actions & c->right))
            (void)fail(m, "it makes a change that it has not asked for");
        else if (!change_parts(c, d, &ret->change))
            (void)fail(m, "a change is malformed");
        else
            ret->type = SP_MILTER_CHANGE;
        return true;
    }
    return false;
}

static bool is_change(char reply)
{
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++)
        if (changes[i].reply == reply)
            return true;
    return false;
}

/* The verdict on something that was aborted, and what belongs to it.  True: it was. */
static bool forget(struct sp_milter *m, char reply)
{
    if (!m->forgotten)
        return false;
    if (reply == 'p' || (m->forgotten_stage == SP_MS_EOM && is_change(reply)))
        return true;
    for (size_t i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++)
        if (verdicts[i].reply == reply) {
            m->forgotten--;
            return true;
        }
    return false;
}

static void packet(struct sp_milter *m, char reply, struct sp_str d,
                   struct sp_milter_event *ret)
{
    if (m->state == NEGOTIATING && reply == 'O') {
        negotiated(m, d, ret);
    } else if (m->state == NEGOTIATING) {
        (void)fail(m, "it does not negotiate");
    } else if (forget(m, reply)) {
        ret->type = SP_MILTER_PROGRESS;
    } else if (m->state != WAITING) {
        (void)fail(m, "it answers though nothing was asked");
    } else if (reply == 'p') {
        ret->type = SP_MILTER_PROGRESS;
    } else if (!verdict(m, reply, d, ret) && !change(m, reply, d, ret)) {
        (void)fail(m, "its answer is none that we know");
    }
}

bool sp_milter_next(struct sp_milter *m, struct sp_milter_event *ret)
{
    uint32_t len;

    memset(ret, 0, sizeof *ret);
    if (m->used) {
        sp_buf_drop(&m->in, m->used);
        m->used = 0;
    }
    if (m->state == OVER)
        return false;
    if (m->state != FAILED) {
        if (m->in.n < 4)
            return false;
        len = number(m->in.p);
        if (len == 0 || len > SP_MILTER_PACKET_MAX) {
            (void)fail(m, "the length of its answer makes no sense");
        } else {
            if (m->in.n - 4 < len)
                return false;
            m->used = len + 4;
            packet(m, m->in.p[4], (struct sp_str){m->in.p + 5, len - 1}, ret);
        }
    }
    if (m->state != FAILED)
        return true;
    if (m->said_failed)
        return false;
    m->said_failed = true;
    memset(ret, 0, sizeof *ret);
    ret->type = SP_MILTER_FAILED;
    ret->text = sp_str(m->text);
    return true;
}

bool sp_milter_waits(const struct sp_milter *m)
{
    return m->state == NEGOTIATING || m->state == WAITING;
}

bool sp_milter_failed(const struct sp_milter *m)
{
    return m->state == FAILED;
}

uint32_t sp_milter_version(const struct sp_milter *m)
{
    return m->version;
}

uint32_t sp_milter_actions(const struct sp_milter *m)
{
    return m->actions;
}

bool sp_milter_leading_space(const struct sp_milter *m)
{
    return m->steps & LEADING_SPACE;
}

const char *sp_milter_stage_name(enum sp_milter_stage stage)
{
    return stages[stage].name;
}
