/*
 * events.h - the event table: every line the program logs is a row here.
 *
 * id, name in the log, level, what it means and which keys it carries.
 */
#ifndef SP_EVENTS_H
#define SP_EVENTS_H

/* clang-format off */
#define SP_EVENTS(X)                                                                               \
    X(SP_LOG_START, "start", SP_LEVEL_INFO, "the service is starting: version, pid, data")           \
    X(SP_LOG_READY, "ready", SP_LEVEL_INFO, "every role runs, connections are taken")               \
    X(SP_LOG_STOP, "stop", SP_LEVEL_INFO, "the service ends: reason")                               \
    X(SP_LOG_LISTEN, "listen", SP_LEVEL_INFO, "a listener is open: listener, address, tls")          \
    X(SP_LOG_ROLE_START, "role.start", SP_LEVEL_INFO, "a role was started: role, pid")               \
    X(SP_LOG_ROLE_DIED, "role.died", SP_LEVEL_ERROR, "a role ended by itself: role, pid, status; it is started again") \
    X(SP_LOG_ROLE_AGAIN, "role.again", SP_LEVEL_INFO, "a role ends to be started with other rights: reason") \
    X(SP_LOG_NO_SANDBOX, "sandbox.missing", SP_LEVEL_WARNING, "a role could not be locked in: reason") \
    X(SP_LOG_ROLE_BAD, "role.bad-message", SP_LEVEL_ERROR, "a role said something that it must not: role, reason") \
    X(SP_LOG_RELOAD, "reload", SP_LEVEL_INFO, "a new configuration is in force")                     \
    X(SP_LOG_RELOAD_REFUSED, "reload.refused", SP_LEVEL_ERROR, "the new configuration has errors, the old one stays: reason") \
    X(SP_LOG_WARNING, "warning", SP_LEVEL_WARNING, "something to look at: reason")                  \
    X(SP_LOG_FATAL, "fatal", SP_LEVEL_ERROR, "the process cannot go on: reason")                    \
    X(SP_LOG_DEBUG, "debug", SP_LEVEL_DEBUG, "for developers: reason")                              \
    X(SP_LOG_OPEN, "session.open", SP_LEVEL_INFO, "a client connected: listener, from")              \
    X(SP_LOG_CLOSE, "session.close", SP_LEVEL_INFO, "a session ended: reason, messages, in, out")     \
    X(SP_LOG_TLS, "session.tls", SP_LEVEL_INFO, "handshake done: version, cipher, sni, certificate")  \
    X(SP_LOG_TLS_FAILED, "session.tls-failed", SP_LEVEL_WARNING, "handshake failed: reason")          \
    X(SP_LOG_STAPLE, "tls.staple-expired", SP_LEVEL_WARNING, "the OCSP response is too old to be sent; once in each server process until the next reload: listener, sni") \
    X(SP_LOG_INJECTION, "session.injection", SP_LEVEL_WARNING, "octets behind STARTTLS or before the banner: an attack or a broken client") \
    X(SP_LOG_REFUSED, "session.refused", SP_LEVEL_INFO, "a command was refused: stage, reply")        \
    X(SP_LOG_LOGIN_OK, "login.ok", SP_LEVEL_INFO, "mechanism, how (explicit or implicit), user, as, fingerprint") \
    X(SP_LOG_LOGIN_FAILED, "login.failed", SP_LEVEL_WARNING, "mechanism, user, reason")               \
    X(SP_LOG_CERT_UNUSABLE, "certificate.unusable", SP_LEVEL_WARNING, "a client certificate does not count: fingerprint, reason") \
    X(SP_LOG_ACCEPTED, "message.accepted", SP_LEVEL_INFO, "durable and acknowledged: id, from, size, recipients, user; duplicate=yes: sent again, and not queued twice") \
    X(SP_LOG_BUSY, "account.busy", SP_LEVEL_WARNING, "an account suddenly sends much (alert-rate): user, messages, recipients, from; once an hour") \
    X(SP_LOG_FILTER_FAILED, "filter.failed", SP_LEVEL_WARNING, "a filter could not be asked: filter, stage, reason, then (what became of the mail)") \
    X(SP_LOG_FILTER_VERDICT, "filter.verdict", SP_LEVEL_INFO, "a filter refused, discarded or held: filter, stage, verdict, reply") \
    X(SP_LOG_FILTER_CHANGED, "filter.changed", SP_LEVEL_INFO, "a milter changed the message: filter, header, body, sender, added, removed (recipients), hold") \
    X(SP_LOG_DISCARDED, "message.discarded", SP_LEVEL_INFO, "acknowledged, and given to nobody, because a filter said so: from, recipients, message-id") \
    X(SP_LOG_REJECTED, "message.rejected", SP_LEVEL_INFO, "refused after the dot: from, reply")       \
    X(SP_LOG_QUEUE_OPEN, "queue.open", SP_LEVEL_INFO, "the spool is open: messages, waiting")         \
    X(SP_LOG_QUEUE_ERROR, "queue.error", SP_LEVEL_ERROR, "the spool failed: reason")                  \
    X(SP_LOG_DELIVERED, "message.delivered", SP_LEVEL_INFO, "id, to, where, reply, seconds")          \
    X(SP_LOG_DEFERRED, "message.deferred", SP_LEVEL_INFO, "id, to, where, reply, next")               \
    X(SP_LOG_DEST_DEAD, "destination.dead", SP_LEVEL_INFO, "it gets no mail for a while: route, domain, where, reason, failures, next") \
    X(SP_LOG_DEST_ALIVE, "destination.alive", SP_LEVEL_INFO, "a dead destination answered: route, domain") \
    X(SP_LOG_SUSPENDED, "destination.suspended", SP_LEVEL_INFO, "by an administrator: kind, name, reason") \
    X(SP_LOG_RESUMED, "destination.resumed", SP_LEVEL_INFO, "by an administrator: kind, name, messages (that are tried now)") \
    X(SP_LOG_STS, "mta-sts.policy", SP_LEVEL_INFO, "a domain's MTA-STS policy was fetched: domain, mode, max-age, id") \
    X(SP_LOG_STS_FAILED, "mta-sts.failed", SP_LEVEL_WARNING, "a domain names an MTA-STS policy that does not count: domain, reason, kept (the mode of the one that counts on, or none)") \
    X(SP_LOG_TLS_REPORT, "tls-report.sent", SP_LEVEL_INFO, "a TLSRPT report was given away: domain, day, to (a mail address or a URL), id (of the mail)") \
    X(SP_LOG_TLS_REPORT_FAILED, "tls-report.failed", SP_LEVEL_WARNING, "a TLSRPT report could not be given away: report, reason") \
    X(SP_LOG_BOUNCED, "message.bounced", SP_LEVEL_WARNING, "id, to, where, reply, notice")            \
    X(SP_LOG_REMOVED, "message.removed", SP_LEVEL_INFO, "by an administrator: id, who")               \
    X(SP_LOG_COLLECTED, "outbox.collected", SP_LEVEL_INFO, "mail that a user left while the service was down: uid, status (0: all of it)") \
    X(SP_LOG_CONTROL, "control", SP_LEVEL_INFO, "an administrator's command: command, who")
/* clang-format on */

#endif
