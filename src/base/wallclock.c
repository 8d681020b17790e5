/* wallclock.c - see wallclock.h. */
#include "wallclock.h"

#include <time.h>

uint64_t sp_wall_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}
