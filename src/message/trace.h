/*
 * trace.h - what a message's way leaves in its header: Received and Return-Path.
 *
 *     struct sp_trace t = {.helo = ..., .client_address = ..., .hostname = ..., ...};
 *     rc = sp_trace_received(&prefix, &t);
 *
 * Whatever HELO, user names, addresses and TLS names hold, the field stays one field:
 * each value is escaped or replaced on the way (fieldout.h).
 */
#ifndef SP_TRACE_H
#define SP_TRACE_H

#include "text.h"

struct sp_trace {
    struct sp_str helo;           /* as said; empty: none was said */
    struct sp_str client_name;    /* of a verified reverse look-up; empty: not known */
    struct sp_str client_address; /* "192.0.2.1", "2001:db8::1", "local" */
    bool hide_client;             /* neither HELO nor name nor address are written */
    struct sp_str hostname;       /* ours */
    struct sp_str id;             /* queue or session id; empty: clause left out */
    bool lmtp, esmtp, smtputf8, tls, login;
    struct sp_str tls_version, tls_cipher; /* used when tls */
    uint32_t tls_bits;                     /* 0: not known */
    struct sp_str identity;       /* empty: not written (trace-identity = no) */
    struct sp_str only_recipient; /* set only when there is exactly one: another
                                              recipient must not learn of it (RFC 5321 7.2) */
    uint64_t now_ms;
    int zone_minutes;
};

/* The `with` keyword of RFC 3848 and RFC 6531 4.3.  TLS and AUTH are extensions: a
 * session that used them counts as extended even after HELO. */
const char *sp_trace_with(bool lmtp, bool esmtp, bool smtputf8, bool tls, bool login);

/* Appends the whole field, CRLF included.  0, -SP_ELIMIT, -SP_ENOMEM. */
int sp_trace_received(struct sp_buf *out, const struct sp_trace *t);

/* RFC 5321 4.4: written once, by final delivery; an empty path gives <>. */
int sp_trace_return_path(struct sp_buf *out, struct sp_str reverse_path);

#endif
