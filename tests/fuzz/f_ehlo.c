/* f_ehlo.c - what a server lists behind EHLO: nothing is believed that is not there. */
#include "fz.h"

#include "cli_caps.h"
#include "text.h"

/* Does the word stand somewhere in the lines, in any case? */
static bool mentions(struct sp_str in, const char *word)
{
    size_t n = strlen(word);

    for (size_t i = 0; i + n <= in.n; i++)
        if (sp_str_caseis((struct sp_str){in.p + i, n}, word))
            return true;
    return false;
}

static void feed(struct sp_caps *c, struct sp_str in, size_t times)
{
    struct fz f = {(const uint8_t *)in.p, in.n};

    FZ_MUST(sp_caps_line(c, SP_LIT("mx.example.org STARTTLS AUTH PLAIN")) == 0,
            "memory");
    for (; f.n;) {
        struct sp_str line = fz_line(&f);

        for (size_t i = 0; i < times; i++)
            (void)sp_caps_line(c, line);
    }
}

static void look(const struct sp_caps *c, struct sp_str in)
{
    static const struct {
        uint32_t bit;
        const char *word;
    } ext[] = {
        {SP_EXT_PIPELINING, "PIPELINING"},
        {SP_EXT_SIZE, "SIZE"},
        {SP_EXT_8BITMIME, "8BITMIME"},
        {SP_EXT_SMTPUTF8, "SMTPUTF8"},
        {SP_EXT_DSN, "DSN"},
        {SP_EXT_CHUNKING, "CHUNKING"},
        {SP_EXT_BINARYMIME, "BINARYMIME"},
        {SP_EXT_LIMITS, "LIMITS"},
        {SP_EXT_STARTTLS, "STARTTLS"},
        {SP_EXT_AUTH, "AUTH"},
        {SP_EXT_REQUIRETLS, "REQUIRETLS"},
        {SP_EXT_DELIVERBY, "DELIVERBY"},
    };

    for (size_t i = 0; i < sizeof ext / sizeof *ext; i++)
        FZ_MUST(!(c->ext & ext[i].bit) || mentions(in, ext[i].word),
                "an extension that was not listed is not there");
    for (int m = 0; m < SP_MECHS; m++)
        FZ_MUST(!(c->mechs & SP_MECH_BIT(m)) ||
                    mentions(in, sp_mech_name((enum sp_mech)m)),
                "a mechanism that was not listed is not there");
    FZ_MUST(!(c->mechs && !mentions(in, "AUTH")), "mechanisms stand behind AUTH");
    FZ_MUST(c->size_max == 0 || mentions(in, "SIZE"), "a size needs SIZE");
    FZ_MUST((c->rcpt_max | c->mail_max) == 0 || mentions(in, "LIMITS"),
            "limits need LIMITS");
    FZ_MUST(c->text.n <= c->text.max, "the text is bounded");
}

FZ_TARGET
{
    struct sp_str in = {size ? (const char *)data : "", size};
    struct sp_caps *once = sp_caps_new(0), *twice = sp_caps_new(0), *copy;
    struct sp_buf names;

    FZ_MUST(once && twice, "memory");
    feed(once, in, 1);
    feed(twice, in, 2);
    look(once, in);
    FZ_MUST(once->ext == twice->ext && once->mechs == twice->mechs,
            "duplicates say nothing");
    copy = sp_caps_clone(once);
    FZ_MUST(copy && copy->ext == once->ext && copy->mechs == once->mechs &&
                copy->size_max == once->size_max && copy->lines == once->lines &&
                sp_str_eq(sp_buf_view(&copy->text), sp_buf_view(&once->text)),
            "a clone is equal");
    sp_buf_init(&names, 4096);
    (void)sp_caps_auth_names(once, &names);
    sp_buf_free(&names);
    sp_caps_free(once);
    sp_caps_free(twice);
    sp_caps_free(copy);
    return 0;
}
