/* queue_tlsrpt.c - `sallyport queue tlsrpt`: the TLSRPT reports as they are now. */
#include "queue_tlsrpt.h"
#include "cli.h"
#include "datadir.h"
#include "tlsrpt.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct sp_option options[] = {SP_OPT_CONFIG, SP_OPT_DATA, SP_OPT_END};

static bool wanted(const struct sp_args *a, const char *domain)
{
    for (int i = 0; i < (int)a->n_rest; i++)
        if (sp_str_caseis(sp_str(domain), a->rest[i]))
            return true;
    return a->n_rest == 0;
}

static int one_day(const struct sp_args *a, const char *path,
                   const struct sp_rpt_who *w)
{
    struct sp_rpt *r = sp_rpt_new();
    char line[SP_RPT_LINE_MAX];
    FILE *f = r ? fopen(path, "re") : NULL;
    int rc = f ? 0 : -1;
    struct sp_buf b;

    while (f && fgets(line, sizeof line, f))
        (void)sp_rpt_add(r, sp_str(line));
    if (f)
        (void)fclose(f);
    for (const char *d = r ? sp_rpt_first(r) : NULL; d && rc == 0;
         d = sp_rpt_next(r, d)) {
        sp_buf_init(&b, SP_RPT_JSON_MAX);
        if (wanted(a, d) && (rc = sp_rpt_json(r, d, w, &b)) == 0) {
            (void)fwrite(b.p, 1, b.n, stdout); /* ASCII, controls escaped */
            (void)fputs("\n", stdout);
        }
        sp_buf_free(&b);
    }
    sp_rpt_free(r);
    return rc;
}

static int days(const struct sp_args *a, const char *dir, struct sp_rpt_who *w)
{
    struct dirent **list = NULL;
    char path[4600];
    uint64_t begin;
    int n = scandir(dir, &list, NULL, alphasort),
        rc = n < 0 && errno != ENOENT ? -1 : 0;

    for (int i = 0; i < n; i++) {
        if (rc == 0 && sp_rpt_day_begin(list[i]->d_name, &begin) == 0) {
            snprintf(path, sizeof path, "%s/%s", dir, list[i]->d_name);
            memcpy(w->day, list[i]->d_name, SP_RPT_DAY);
            rc = one_day(a, path, w);
        }
        free(list[i]);
    }
    free(list);
    return rc;
}

static int run(const struct sp_args *a)
{
    struct sp_conf *c = NULL;
    char dir[4300];
    int status = 0;
    const char *data = sp_data_dir(a, &c, &status);
    struct sp_rpt_who w = {.organization = "", .contact = "", .hostname = ""};

    if (!data)
        return status;
    if (c) {
        w.hostname = c->hostname;
        w.organization =
            c->tls_reports_organization ? c->tls_reports_organization : c->hostname;
        w.contact = c->tls_reports_contact ? c->tls_reports_contact : c->postmaster;
    }
    (void)sp_data_path(dir, sizeof dir, data, SP_DATA_QUEUE, "tlsrpt");
    if (days(a, dir, &w) < 0)
        status = sp_fail(1, "%s: %s", dir, strerror(errno));
    sp_conf_unref(c);
    return status;
}

const struct sp_command sp_queue_tlsrpt = {
    .name = "tlsrpt",
    .summary = "what TLSRPT reports (RFC 8460) say so far, as JSON",
    .usage = "[DOMAIN ...]",
    .more =
        "Of each day that was not sent yet, today among them; one report a domain.\n",
    .options = options,
    .run = run};
