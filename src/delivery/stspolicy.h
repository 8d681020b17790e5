/*
 * stspolicy.h - MTA-STS policies (RFC 8461): their record, their text, the form they are
 * kept in.  Pure functions; stslook.h fetches, stscache.h keeps.
 *
 *     rc = sp_sts_record(records, n, id, &why);    1: one, with this id; 0: none; <0: why
 *     rc = sp_sts_parse(text, &policy, &why);      0; <0: why
 *     if (sp_sts_lists(&policy, "mx1.example.org")) ...
 *
 * Everything comes from strangers: what does not follow the grammar is no policy.
 */
#ifndef SP_STSPOLICY_H
#define SP_STSPOLICY_H

#include "buf.h"
#include "text.h"

enum {
    SP_STS_TEXT_MAX = 65536, /* RFC 8461 3.3 */
    SP_STS_NAMES_MAX = 4096, /* octets of all mx patterns; more of them is no policy */
    SP_STS_ID_MAX = 32,
    SP_TXT_MAX = 4096,
    SP_STS_AGE_MAX = 31557600, /* seconds: RFC 8461 3.2 */
    SP_STS_STORED_MAX = SP_STS_NAMES_MAX * 4,
};

enum sp_sts_mode { SP_STS_MODE_NONE, SP_STS_MODE_TESTING, SP_STS_MODE_ENFORCE };

struct sp_sts_policy {
    enum sp_sts_mode mode;
    uint64_t max_age;
    uint64_t fetched_s; /* Unix time; 0: not fetched yet */
    char id[SP_STS_ID_MAX + 1];
    char names[SP_STS_NAMES_MAX]; /* lower case, each ends with a NUL */
    size_t names_n;
};

/* The strings of one TXT record, one behind the other (RFC 7208 3.3). */
bool sp_txt_join(struct sp_str rdata, char out[SP_TXT_MAX], size_t *ret);
/* TXT rdata as on the wire.  Records that do not begin with v=STSv1 do not count. */
int sp_sts_record(const struct sp_str *rdata, size_t n, char id[SP_STS_ID_MAX + 1],
                  const char **ret_why);
int sp_sts_parse(struct sp_str text, struct sp_sts_policy *ret, const char **ret_why);
/* Is the host one of the policy's?  "*.example.org" stands for exactly one label (4.1). */
bool sp_sts_lists(const struct sp_sts_policy *p, const char *host);
/* It counts until max_age has passed since it was fetched. */
bool sp_sts_valid(const struct sp_sts_policy *p, uint64_t now_s);
const char *sp_sts_mode_name(enum sp_sts_mode m);

/* What the cache keeps: the policy's text with `id` and `fetched` in front. */
int sp_sts_store(const struct sp_sts_policy *p, struct sp_buf *out);
int sp_sts_restore(struct sp_str text, struct sp_sts_policy *ret);

#endif
