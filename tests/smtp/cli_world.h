/*
 * cli_world.h - what truly was said and answered around a client engine, and what must be
 * true of the engine then.  By hand from PROTOCOL.md; it shares no code with the engine's
 * tables.  The explorer and the fuzzer play it; whoever plays
 *
 *     cli_world_begin(&w, &options);
 *     cli_world_hear(&w, octets the engine wants to send)
 *     cli_world_reported(&w, &event)             each event, before it is answered
 *     cli_world_note(&w, w.pending[0], text)     a whole reply, before the engine acts on it
 *     if (cli_world_broken) ...                  the first rule that was broken
 *
 * and sets the other members as things happen (handshakes, ends, new transactions).
 * pending[] says which command each reply is for: G greeting, E EHLO, H HELO, S STARTTLS,
 * A AUTH or a response, * a cancelled one, M MAIL, R RCPT, D DATA, . the dot, B BDAT,
 * L BDAT LAST, r RSET, Q QUIT.
 */
#ifndef SP_CLI_WORLD_H
#define SP_CLI_WORLD_H

#include <sallyport/client.h>

enum { CLI_WORLD_RCPTS = 2, CLI_WORLD_PENDING = 12 };

/* What a server lists.  No padding: the explorer tells states apart by their octets. */
struct cli_world_list {
    uint32_t starttls, pipelining, chunking, size, mechs;
};

struct world {
    char pending[CLI_WORLD_PENDING]; /* commands not yet answered, oldest first */
    struct cli_world_list list;      /* of this TLS state; with has_list */
    int8_t npending;
    bool has_list;
    int8_t rcpts;    /* RCPT replies given in this transaction */
    int8_t auths;    /* AUTH commands of this connection */
    int8_t messages; /* transactions begun by the user */
    int8_t event;    /* 1 + the event that waits for an answer; 0: none */
    bool in_tls, verified, cert_sent, stranger_told;
    bool injected, failed_tls;
    bool said_235;
    bool in_data; /* 354 was given, the dot has not come */
    bool in_sasl; /* 334 was given */
    bool mail_ok;
    bool rcpt_ok[CLI_WORLD_RCPTS];
    bool end_seen;                   /* the whole message reached the server */
    int8_t verdict[CLI_WORLD_RCPTS]; /* to the end of the message: 0 none, 2, 4, 5 */
    int8_t verdicts;
    bool gone;      /* we (the server) closed */
    bool closed;    /* CLOSE was said */
    bool open_txn;  /* the user waits for SENT */
    bool bad_chunk; /* a BDAT command was refused in this transaction */
    bool nonsense;  /* the message was answered with no verdict: what follows may be ignored */
};

extern const char *cli_world_broken; /* NULL, or the rule */

/* Everything new; options must outlive the play. */
void cli_world_begin(struct world *w, const struct sp_cli_options *o);
/* Octets that the engine wants to send: they are all read. */
void cli_world_hear(struct world *w, struct sp_str out);
void cli_world_reported(struct world *w, const struct sp_cli_event *ev);
/* The truth about one reply: its first three octets are the code that counts. */
void cli_world_note(struct world *w, char what, const char *text);
/* The user begins a transaction. */
void cli_world_new_message(struct world *w);
void cli_world_push(struct world *w, char what);
/* Nothing more comes from the engine: is somebody waited for? */
void cli_world_settled(const struct world *w);

#endif
