/*
 * message_fix.c - run messages through normaliser, header walk and fix-up, for t_corpora.py.
 *
 *     message_fix OUTDIR < list of file names
 *
 * Writes OUTDIR/N.norm (CRLF line ends) and OUTDIR/N.sent (what a next hop would get, but
 * for Received), and says in a line of tab-separated words what became of file N:
 *     N  ok | rule  signed|-  header-size  Message-ID  mailboxes of From, To and Cc
 * A mailbox list that is malformed ends with "!".  The policy is as lenient as the table
 * allows where that leaves something to compare.
 */
#include "compose.h"
#include "fixup.h"

#include <stdio.h>
#include <string.h>

#define MESSAGE_MAX (64u << 20)

static int slurp(const char *path, struct sp_buf *b)
{
    FILE *f = fopen(path, "rb");
    char chunk[4096];
    size_t n;

    if (!f)
        return -SP_EIO;
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0)
        if (sp_buf_put(b, chunk, n) < 0)
            break;
    fclose(f);
    return 0;
}

static void save(const char *dir, unsigned n, const char *ending, struct sp_str s)
{
    char path[4096];
    FILE *f;

    snprintf(path, sizeof path, "%s/%u.%s", dir, n, ending);
    f = fopen(path, "wb");
    if (!f)
        return;
    if (s.n)
        fwrite(s.p, 1, s.n, f);
    fclose(f);
}

static void print_mailboxes(struct sp_str header)
{
    static const char *const names[] = {"From", "To", "Cc"};
    struct sp_field f;
    struct sp_mbox m;

    for (size_t i = 0; i < 3; i++) {
        struct sp_mbox_iter it;
        int rc;

        printf("\t");
        if (!sp_header_find(header, names[i], 0, &f))
            continue;
        sp_mbox_start(&it, f.value, SP_ADDR_UTF8_OK);
        while ((rc = sp_mbox_next(&it, &m)) > 0)
            printf("%s ", m.addr.text);
        if (rc < 0)
            printf("!");
    }
}

static void send_out(const struct sp_fix_plan *plan, struct sp_str msg,
                     struct sp_buf *out)
{
    size_t at = 0;

    sp_buf_str(out, sp_buf_view(&plan->prefix));
    for (size_t i = 0; i < plan->cut_n; i++) {
        sp_buf_put(out, msg.p + at, (size_t)plan->cut[i].offset - at);
        at = (size_t)(plan->cut[i].offset + plan->cut[i].length);
    }
    sp_buf_put(out, msg.p + at, msg.n - at);
}

static void one(const char *dir, unsigned n, const char *path)
{
    struct sp_fix_policy policy;
    struct sp_fix_plan plan;
    struct sp_buf raw, msg, out;
    struct sp_norm norm;
    struct sp_fix_in in = {.reverse_path = SP_LIT("corpus@example.org"),
                           .first_address = SP_LIT("corpus@example.org"),
                           .hostname = SP_LIT("mx.example.org"),
                           .smtputf8 = true,
                           .policy = &policy};

    sp_fix_policy_default(&policy);
    (void)sp_fix_policy_set(&policy, SP_LIT("non-utf8-header"), SP_LIT("pass"));
    (void)sp_fix_policy_set(&policy, SP_LIT("long-header-line"), SP_LIT("pass"));
    (void)sp_fix_policy_set(&policy, SP_LIT("signed-non-utf8-header"), SP_LIT("pass"));
    sp_buf_init(&raw, MESSAGE_MAX);
    sp_buf_init(&msg, MESSAGE_MAX);
    sp_buf_init(&out, MESSAGE_MAX);
    sp_fix_plan_init(&plan);
    sp_norm_init(&norm);
    if (slurp(path, &raw) == 0 && sp_norm_feed(&norm, sp_buf_view(&raw), &msg) == 0 &&
        sp_norm_end(&norm, &msg) == 0) {
        in.header = sp_buf_view(&msg);
        if (sp_fix_make(&in, &plan) == 0 && !plan.refused)
            send_out(&plan, in.header, &out);
        save(dir, n, "norm", in.header);
        save(dir, n, "sent", sp_buf_view(&out));
        printf("%u\t%s\t%s\t%zu\t%s", n, plan.refused ? sp_fix_name(plan.rule) : "ok",
               plan.is_signed ? "signed" : "-", plan.header_size, plan.message_id);
        print_mailboxes((struct sp_str){msg.p, plan.header_size});
        printf("\n");
    }
    sp_fix_plan_free(&plan);
    sp_buf_free(&raw);
    sp_buf_free(&msg);
    sp_buf_free(&out);
}

int main(int argc, char **argv)
{
    char line[4096];

    if (argc != 2)
        return 2;
    for (unsigned n = 0; fgets(line, sizeof line, stdin); n++) {
        line[strcspn(line, "\n")] = '\0';
        one(argv[1], n, line);
    }
    return 0;
}
