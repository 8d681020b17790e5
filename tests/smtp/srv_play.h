/*
 * srv_play.h - plays a story against the server engine.
 *
 * A failing story prints where it differs.  `quiet` plays with allocation failures: then
 * only survival and a defined last reply count (see srv_play()).
 */
#ifndef SP_SRV_PLAY_H
#define SP_SRV_PLAY_H

#include <sallyport/server.h>

#include "story.h"

struct srv_play_result {
    bool good;     /* every step was as told */
    size_t octets; /* longest piece of input */
    char *out;     /* everything the server said */
    size_t out_len;
};

/* Policy from settings; false prints what is not understood. */
bool srv_play_policy(const char *settings, struct sp_srv_policy *ret);
/* chunk 0: everything at once. */
bool srv_play(const struct sp_story *st, size_t chunk, bool quiet,
              struct srv_play_result *ret);

#endif
