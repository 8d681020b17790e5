/*
 * wallclock.h - what time it is.
 *
 * For roles and commands; engines and pure folders are told the time by their caller.
 */
#ifndef SP_WALLCLOCK_H
#define SP_WALLCLOCK_H

#include <stdint.h>

uint64_t sp_wall_ms(void); /* milliseconds since 1970, UTC; may jump */

#endif
