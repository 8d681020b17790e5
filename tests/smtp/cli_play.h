/*
 * cli_play.h - plays a story (tests/smtp/cli_stories/README.md) against the client
 * engine: the file is the server, the TLS layer and the user; the engine is the client.
 */
#ifndef CLI_PLAY_H
#define CLI_PLAY_H

#include <stdbool.h>
#include <stddef.h>

struct play_options {
    size_t chunk; /* octets given to the engine at once; 0: whole bursts */
    bool lenient; /* nothing is expected, only done: for failing allocations */
    bool quiet;   /* print nothing */
    bool clone;   /* replace the engine by its clone after every step */
};

/* Number of unmet expectations, each printed with file and line; -1: cannot be read. */
int play_story(const char *path, const char *text, const struct play_options *o);
char *play_read(const char *path); /* malloc; NULL: cannot be read */

#endif
