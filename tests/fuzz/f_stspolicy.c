/* f_stspolicy.c - MTA-STS records and policies of strangers: what is taken makes sense, and
 * comes back from the cache as it was. */
#include "fz.h"

#include "stspolicy.h"

FZ_TARGET
{
    struct sp_str in = {size ? (const char *)data : "", size};
    struct sp_sts_policy p, q;
    struct sp_buf b;
    char id[SP_STS_ID_MAX + 1] = "";
    const char *why = NULL;
    int rc = sp_sts_record(&in, 1, id, &why);

    FZ_MUST((rc < 0) == (why != NULL), "a refusal has a reason");
    FZ_MUST(rc != 1 || (id[0] && strlen(id) <= SP_STS_ID_MAX), "a record has an id");
    why = NULL;
    rc = sp_sts_parse(in, &p, &why);
    FZ_MUST((rc < 0) == (why != NULL), "a refusal has a reason");
    if (rc < 0)
        return 0;
    FZ_MUST(p.max_age <= SP_STS_AGE_MAX && p.names_n <= sizeof p.names,
            "within limits");
    FZ_MUST(p.mode == SP_STS_MODE_NONE || p.names_n, "a policy lists somebody");
    FZ_MUST(!sp_sts_lists(&p, "") && !sp_sts_lists(&p, "."), "nobody is no exchange");
    for (size_t i = 0; i < p.names_n; i += strlen(p.names + i) + 1)
        FZ_MUST(p.names[i] == '*' || sp_sts_lists(&p, p.names + i), "who is listed is");
    p.fetched_s = 1700000000;
    memcpy(p.id, "x1", 3);
    sp_buf_init(&b, SP_STS_STORED_MAX);
    FZ_MUST(sp_sts_store(&p, &b) == 0, "every policy can be kept");
    FZ_MUST(sp_sts_restore(sp_buf_view(&b), &q) == 0 && q.mode == p.mode &&
                q.names_n == p.names_n && memcmp(q.names, p.names, p.names_n) == 0,
            "and comes back as it was");
    sp_buf_free(&b);
    return 0;
}
