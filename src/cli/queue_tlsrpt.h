/* queue_tlsrpt.h - the command `sallyport queue tlsrpt`, for the table of `queue`. */
#ifndef SP_QUEUE_TLSRPT_H
#define SP_QUEUE_TLSRPT_H

#include "cli.h"

extern const struct sp_command sp_queue_tlsrpt;

#endif
