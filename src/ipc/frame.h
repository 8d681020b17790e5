/*
 * frame.h - a channel between two roles: typed frames on a socket pair.
 *
 *     ch = sp_chan_new(fd, SP__ROLE__ROLE_SERVER, SP__ROLE__ROLE_QUEUE, &err);   (me, peer)
 *     sp_chan_send(ch, SP_MSG_SUBMIT, &submit.base, &raw, -1);
 *     sp_chan_flush(ch);                     writable: what is left leaves
 *     while ((rc = sp_chan_read(ch, &err)) > 0)
 *         while (sp_chan_next(ch, &frame, &err) > 0) {
 *             m = sp_frame_unpack(&frame, &arena);     NULL: malformed
 *             ...
 *         }
 *     sp_chan_release(ch);                   frames seen so far are done with: credit
 *
 * A frame is a 16-octet header, one protobuf message (sallyport.proto), then raw octets
 * and at most one descriptor, where the message's row in the table below allows them.
 * The table also says which role may say what to whom; a frame that breaks it ends the
 * channel with SP_CLASS_PEER: another role is as little trusted as the network.
 *
 * Credit: a sender has at most SP_CHAN_WINDOW octets of frames under way that the
 * receiver has not released.  sp_chan_full() says when to stop producing; frames are
 * still taken up to twice the window, so that answers never deadlock, then refused.
 *
 * Ownership: the channel owns fd and the descriptors that it has queued.  A received
 * frame points into the channel's buffer until sp_chan_release(); its descriptor is
 * closed at the next frame unless sp_chan_take_fd() took it.
 */
#ifndef SP_FRAME_H
#define SP_FRAME_H

#include "arena.h"
#include "sallyport.pb-c.h"
#include "text.h"

#define SP_CHAN_WINDOW    (8u << 20)
#define SP_FRAME_META_MAX (4u << 20)   /* protobuf part: thousands of recipients fit */
#define SP_FRAME_RAW_MAX  (128u << 10) /* inline content */

/* id, C name of the message, sender, receiver, raw octets?, descriptor?, most octets.
 * 0 as a role: any.  SUPERVISOR stands for the process that started the roles. */
/* clang-format off */
#define SP_MSGS(X)                                                                     \
    X(SP_MSG_SETUP,      setup,              SUPERVISOR, NONE,       0, 0)             \
    X(SP_MSG_LISTENER,   listener_fd,        SUPERVISOR, NONE,       0, 1)             \
    X(SP_MSG_PEER,       peer_fd,            SUPERVISOR, NONE,       0, 1)             \
    X(SP_MSG_SHARED,     shared_fd,          SUPERVISOR, SERVER,     0, 1)             \
    X(SP_MSG_METERS,     meters_fd,          SUPERVISOR, NONE,       0, 1)             \
    X(SP_MSG_DRAIN,      drain,              SUPERVISOR, NONE,       0, 0)             \
    X(SP_MSG_READY,      ready,              NONE,       SUPERVISOR, 0, 0)             \
    X(SP_MSG_COUNTERS,   counters,           NONE,       SUPERVISOR, 0, 0)             \
    X(SP_MSG_PASSWORD,   auth_password,      SERVER,     AUTH,       0, 0)             \
    X(SP_MSG_AUTH_START, auth_start,         SERVER,     AUTH,       0, 0)             \
    X(SP_MSG_AUTH_STEP,  auth_step,          SERVER,     AUTH,       0, 0)             \
    X(SP_MSG_AUTH_ABORT, auth_abort,         SERVER,     AUTH,       0, 0)             \
    X(SP_MSG_EXTERNAL,   auth_external,      SERVER,     AUTH,       0, 0)             \
    X(SP_MSG_CHALLENGE,  auth_challenge,     AUTH,       SERVER,     0, 0)             \
    X(SP_MSG_AUTH_RESULT, auth_result,       AUTH,       SERVER,     0, 0)             \
    X(SP_MSG_CERT_LOOK,  certificate_look,   SERVER,     AUTH,       0, 0)             \
    X(SP_MSG_CERT_RESULT, certificate_result, AUTH,      SERVER,     0, 0)             \
    X(SP_MSG_ID_CHANGED, identity_changed,   AUTH,       SERVER,     0, 0)             \
    X(SP_MSG_ID_CHECK,   identity_check,     SERVER,     AUTH,       0, 0)             \
    X(SP_MSG_RCPT_LOOK,  recipient_look,     SERVER,     AUTH,       0, 0)             \
    X(SP_MSG_RCPT_RESULT, recipient_result,  AUTH,       SERVER,     0, 0)             \
    X(SP_MSG_ACCT_ASK,   account_ask,        AUTH,       AUTH_HELPER, 0, 0)            \
    X(SP_MSG_ACCT_END,   account_end,        AUTH,       AUTH_HELPER, 0, 0)            \
    X(SP_MSG_ACCT_ANSWER, account_answer,    AUTH_HELPER, AUTH,      0, 0)             \
    X(SP_MSG_SUBMIT,     submit,             SERVER,     QUEUE,      1, 0)             \
    X(SP_MSG_SUBMITTED,  submitted_batch,    QUEUE,      SERVER,     0, 0)             \
    X(SP_MSG_SPARE,      spare_file,         QUEUE,      SERVER,     0, 1)             \
    X(SP_MSG_SPARE_WANTED, spare_wanted,     SERVER,     QUEUE,      0, 0)             \
    X(SP_MSG_SPARE_DROPPED, spare_dropped,   SERVER,     QUEUE,      0, 0)             \
    X(SP_MSG_TRACE_SET,  trace_set,          QUEUE,      SERVER,     0, 0)             \
    X(SP_MSG_TRACED,     traced,             SERVER,     QUEUE,      0, 0)             \
    X(SP_MSG_FILTER_ASK, filter_ask,         SERVER,     FILTER,     1, 1)             \
    X(SP_MSG_FILTER_ANSWER, filter_answer,   FILTER,     SERVER,     1, 1)             \
    X(SP_MSG_HELD,       held,               DELIVERY,   QUEUE,      0, 0)             \
    X(SP_MSG_JOB,        job,                QUEUE,      DELIVERY,   1, 1)             \
    X(SP_MSG_JOB_CANCEL, job_cancel,         QUEUE,      DELIVERY,   0, 0)             \
    X(SP_MSG_OUTCOME,    outcome,            DELIVERY,   QUEUE,      0, 0)             \
    X(SP_MSG_STS_POLICY, sts_policy,         DELIVERY,   QUEUE,      0, 0)             \
    X(SP_MSG_TLS_SESSION, tls_session,       DELIVERY,   QUEUE,      0, 0)             \
    X(SP_MSG_TLS_REPORT, tls_report,         QUEUE,      DELIVERY,   0, 0)             \
    X(SP_MSG_TLS_REPORTED, tls_reported,     DELIVERY,   QUEUE,      0, 0)             \
    X(SP_MSG_STORED,     outcome_stored,     QUEUE,      DELIVERY,   0, 0)             \
    X(SP_MSG_CONTROL,    control_request,    CONTROL,    NONE,       0, 0)             \
    X(SP_MSG_ROW,        control_row,        NONE,       CONTROL,    0, 0)             \
    X(SP_MSG_DONE,       control_done,       NONE,       CONTROL,    0, 0)
/* clang-format on */

enum sp_msg {
    SP_MSG_CREDIT, /* the channel's own; no message behind it */
#define SP_MSG_ID(id, name, from, to, raw, fd) id,
    SP_MSGS(SP_MSG_ID)
#undef SP_MSG_ID
        SP_MSG_COUNT
};

struct sp_chan;

struct sp_frame {
    enum sp_msg type;
    struct sp_str meta; /* protobuf, undecoded */
    struct sp_str raw;
    bool has_fd;
};

/* The local role (Maildir) takes jobs as a delivery role does: it may say and hear the
 * same.  fd becomes non-blocking and is closed by sp_chan_free(), also on failure. */
struct sp_chan *sp_chan_new(int fd, Sp__Role me, Sp__Role peer, struct sp_err *err);
void sp_chan_free(struct sp_chan *ch);
int sp_chan_fd(const struct sp_chan *ch);
Sp__Role sp_chan_peer(const struct sp_chan *ch);

/* Raw octets behind a message.  With `release` they are borrowed until it is called with
 * `arg` (when they have left, or when the channel dies); without, they are copied. */
struct sp_raw {
    struct sp_str octets;
    void (*release)(void *arg);
    void *arg;
};

/* Queues one frame.  fd (-1: none) is given away, also on failure.  -SP_ELIMIT: twice the
 * window is used up; -SP_ESTATE: the table forbids it (our mistake); -SP_ECLOSED. */
int sp_chan_send(struct sp_chan *ch, enum sp_msg type, const ProtobufCMessage *m,
                 const struct sp_raw *raw, int fd);
/* Writes what the socket takes: 0 all gone, 1 some left (wait until writable), <0 dead. */
int sp_chan_flush(struct sp_chan *ch, struct sp_err *err);
bool sp_chan_pending(const struct sp_chan *ch); /* something waits to be written */
bool sp_chan_full(const struct sp_chan *ch);    /* stop producing until credit comes */

/* One read of what is there: octets taken, 0 nothing now, -SP_ECLOSED end, <0 dead. */
int sp_chan_read(struct sp_chan *ch, struct sp_err *err);
/* The next whole frame: 1, 0 none, <0 malformed or forbidden. */
int sp_chan_next(struct sp_chan *ch, struct sp_frame *ret, struct sp_err *err);
int sp_chan_take_fd(struct sp_chan *ch); /* of the last frame; -1: none */
/* Every frame returned so far is done with; its octets are gone, its credit goes back. */
void sp_chan_release(struct sp_chan *ch);

/* The message in the frame, in memory of the arena (nothing to free; gone at its reset).
 * NULL: malformed, or larger than the arena allows. */
void *sp_frame_unpack(const struct sp_frame *f, struct sp_arena *arena);
/* The same for any stored message. */
void *sp_pb_unpack(const ProtobufCMessageDescriptor *d, struct sp_str octets,
                   struct sp_arena *arena);
int sp_pb_pack(const ProtobufCMessage *m, struct sp_buf *out); /* appended */
struct sp_str sp_pb_str(ProtobufCBinaryData d); /* the same octets, borrowed */

const char *sp_msg_name(enum sp_msg type);
const char *sp_role_name(Sp__Role role);
bool sp_msg_allowed(enum sp_msg type, Sp__Role from, Sp__Role to);

#endif
