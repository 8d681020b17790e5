/*
 * cat_server.h - what can be found about a server: rows of the catalogue.
 *
 * Included by catalogue.h only, several times.  A check is followed by its findings.
 * Enumerators are the ids in capitals: SP_F_STARTTLS_INJECTION.  An id is never used
 * for something else and never changed: people's scripts have it.
 */
/* clang-format off */

SP_CHECK(P07, .id = "P07", .title = "commands sent behind STARTTLS",
    .asks = "Sends NOOP in the same packet behind STARTTLS and looks whether it is answered inside TLS.",
    .tier = SP_TIER_GENTLE, .needs = SP_NEEDS_STARTTLS, .connections = 1)

SP_FINDING(STARTTLS_INJECTION, .id = "starttls-injection", .check = SP_C_P07,
    .severity = SP_SEV_INSECURE,
    .sentence = "A command sent in clear behind STARTTLS was executed inside TLS.",
    .why = "Someone on the way can put commands in front of what the client says, and so send mail or catch a password in the client's name (CVE-2011-0411).",
    .rfc = "RFC 3207 section 4.2",
    .change = "Install a version of the server that throws away what it received before the handshake.",
    .postfix = "2.8.2, 2.7.3 or newer", .exim = "4.94.2 or newer", .sendmail = "8.14.5 or newer",
    .dovecot = "2.3.14.1 or newer", .opensmtpd = "any version that offers STARTTLS")

SP_FINDING(STARTTLS_CLEAN, .id = "starttls-clean", .check = SP_C_P07,
    .severity = SP_SEV_GOOD,
    .sentence = "What is sent in clear behind STARTTLS is not executed (%1).",
    .why = "Nobody on the way can put commands into the session.",
    .rfc = "RFC 3207 section 4.2")

/* clang-format on */
