/*
 * cat_server.h - what can be found about a server: rows of the catalogue.
 *
 * Included by catalogue.h only, several times.  A check is followed by its findings.
 * Enumerators are the ids in capitals: SP_F_STARTTLS_INJECTION.  An id is never used
 * for something else and never changed: people's scripts have it.
 *
 * The connections of a check are those that it opens itself; 0: it looks on during those
 * of others.  The gentle rows add up to what a run may cost.
 */
/* clang-format off */

/* ==== before TLS ==== */

SP_CHECK(P49, .id = "P49", .title = "banner, EHLO and STARTTLS",
    .asks = "Connects, says EHLO and looks whether STARTTLS is listed.",
    .tier = SP_TIER_GENTLE, .needs = SP_NEEDS_STARTTLS, .connections = 1)

SP_FINDING(NO_STARTTLS, .id = "no-starttls", .check = SP_C_P49, .severity = SP_SEV_INSECURE,
    .sentence = "The server does not offer STARTTLS.",
    .why = "Mail and passwords cross the network in clear, or a client that insists on TLS does not get in.",
    .rfc = "RFC 8314 section 3.3",
    .change = "Give the server a certificate and offer STARTTLS, or TLS from the first octet on port 465.",
    .postfix = "smtpd_tls_security_level = encrypt (may on port 25), smtpd_tls_chain_files",
    .exim = "tls_advertise_hosts = *, tls_certificate, tls_privatekey",
    .sendmail = "confSERVER_CERT, confSERVER_KEY", .dovecot = "ssl = required, ssl_cert, ssl_key",
    .opensmtpd = "listen on ... tls-require pki NAME auth")
SP_FINDING(EHLO_REFUSED, .id = "ehlo-refused", .check = SP_C_P49, .severity = SP_SEV_BROKEN,
    .sentence = "EHLO is refused (%1).",
    .why = "Without EHLO there is neither TLS nor a login; a client must not fall back to HELO when it needs them.",
    .rfc = "RFC 5321 section 4.1.1.1",
    .change = "Let the server answer EHLO; where a name is refused, do not judge the names of clients that submit.",
    .postfix = "smtpd_helo_restrictions (empty for submission)", .exim = "acl_smtp_helo, helo_accept_junk_hosts",
    .sendmail = "FEATURE(`block_bad_helo')")

SP_CHECK(P01, .id = "P01", .title = "mechanisms listed before TLS",
    .asks = "Reads the AUTH line of EHLO before STARTTLS.",
    .tier = SP_TIER_GENTLE, .needs = SP_NEEDS_STARTTLS)

SP_FINDING(CLEAR_PASSWORD_OFFERED, .id = "clear-password-offered", .check = SP_C_P01,
    .severity = SP_SEV_INSECURE,
    .sentence = "Mechanisms that show the password are offered without TLS (%1): it can be read on the way.",
    .why = "Clients take what is listed; one that was not told to insist on TLS sends the password in clear.",
    .rfc = "RFC 4954 section 4",
    .change = "List AUTH only inside TLS.",
    .postfix = "smtpd_tls_auth_only = yes",
    .exim = "auth_advertise_hosts = ${if eq{$tls_in_cipher}{}{}{*}}",
    .sendmail = "AuthOptions with p (confAUTH_OPTIONS)",
    .dovecot = "disable_plaintext_auth = yes (2.4: auth_allow_cleartext = no), ssl = required",
    .opensmtpd = "listen on ... tls-require auth")
SP_FINDING(CLEAR_CHALLENGE_OFFERED, .id = "clear-challenge-offered", .check = SP_C_P01,
    .severity = SP_SEV_ADVICE,
    .sentence = "Mechanisms with a challenge are offered without TLS (%1).",
    .why = "The password itself is not shown, but who listens can guess it at leisure, and the session can be taken over.",
    .rfc = "RFC 4954 section 14",
    .change = "List AUTH only inside TLS.",
    .postfix = "smtpd_tls_auth_only = yes",
    .exim = "auth_advertise_hosts = ${if eq{$tls_in_cipher}{}{}{*}}",
    .sendmail = "Srv_Features, AuthMechanisms", .dovecot = "ssl = required")
SP_FINDING(CLEAR_NO_AUTH, .id = "clear-no-auth", .check = SP_C_P01, .severity = SP_SEV_GOOD,
    .sentence = "No AUTH is offered before TLS.",
    .why = "No client is tempted to send a password in clear.", .rfc = "RFC 4954 section 4")

SP_CHECK(P02, .id = "P02", .title = "AUTH before TLS",
    .asks = "Says AUTH PLAIN in clear, without a password, and takes it back when the server asks for one.",
    .tier = SP_TIER_GENTLE, .needs = SP_NEEDS_STARTTLS)

SP_FINDING(CLEAR_PASSWORD_TAKEN, .id = "clear-password-taken", .check = SP_C_P02,
    .severity = SP_SEV_INSECURE,
    .sentence = "AUTH PLAIN is taken without TLS (%1).",
    .why = "A client that does not wait for TLS, or from which somebody hides STARTTLS, shows its password to everybody on the way.",
    .rfc = "RFC 4954 section 4",
    .change = "Refuse AUTH with 530 or 538 until TLS is up.",
    .postfix = "smtpd_tls_auth_only = yes",
    .exim = "auth_advertise_hosts = ${if eq{$tls_in_cipher}{}{}{*}}",
    .sendmail = "AuthOptions with p (confAUTH_OPTIONS)",
    .dovecot = "disable_plaintext_auth = yes (2.4: auth_allow_cleartext = no), ssl = required",
    .opensmtpd = "listen on ... tls-require auth")
SP_FINDING(CLEAR_AUTH_JUDGED, .id = "clear-auth-judged", .check = SP_C_P02, .severity = SP_SEV_INTEROP,
    .sentence = "AUTH before TLS is answered as if a password had been wrong (%1).",
    .why = "A client then asks its user for another password instead of starting TLS.",
    .rfc = "RFC 4954 section 6",
    .change = "Answer AUTH in clear with 530 5.7.0 or 538 5.7.11.")
SP_FINDING(CLEAR_AUTH_REFUSED, .id = "clear-auth-refused", .check = SP_C_P02, .severity = SP_SEV_GOOD,
    .sentence = "AUTH before TLS is refused (%1).",
    .why = "No password is taken in clear.", .rfc = "RFC 4954 section 4")

SP_CHECK(P03, .id = "P03", .title = "MAIL before TLS",
    .asks = "Says MAIL and RCPT in clear and takes them back.",
    .tier = SP_TIER_GENTLE, .needs = SP_NEEDS_STARTTLS)

SP_FINDING(CLEAR_MAIL_ACCEPTED, .id = "clear-mail-accepted", .check = SP_C_P03,
    .severity = SP_SEV_INSECURE,
    .sentence = "Mail to another domain is taken without TLS (%1).",
    .why = "Mail can be read and changed on the way.",
    .rfc = "RFC 8314 section 3",
    .change = "Require TLS on the submission port.",
    .postfix = "smtpd_tls_security_level = encrypt", .exim = "acl_smtp_mail: deny !encrypted = *",
    .sendmail = "access map: TLS_Clt: ENCR:128", .dovecot = "ssl = required",
    .opensmtpd = "listen on ... tls-require")
SP_FINDING(CLEAR_MAIL_LATE, .id = "clear-mail-late", .check = SP_C_P03, .severity = SP_SEV_ADVICE,
    .sentence = "MAIL is accepted in clear; only RCPT is refused (%1).",
    .why = "Sender and recipient are shown before the client learns that it needs TLS, and the reply does not say so.",
    .rfc = "RFC 3207 section 4",
    .change = "Refuse MAIL in clear with 530 5.7.0.",
    .postfix = "smtpd_tls_security_level = encrypt", .exim = "acl_smtp_mail: deny !encrypted = *",
    .sendmail = "access map: TLS_Clt: ENCR:128", .opensmtpd = "listen on ... tls-require")
SP_FINDING(CLEAR_MAIL_REFUSED, .id = "clear-mail-refused", .check = SP_C_P03, .severity = SP_SEV_GOOD,
    .sentence = "MAIL before TLS is refused with 530 (%1).",
    .why = "A client knows from the code that it must start TLS or log in.", .rfc = "RFC 3207 section 4")
SP_FINDING(CLEAR_MAIL_REFUSED_ODDLY, .id = "clear-mail-refused-oddly", .check = SP_C_P03,
    .severity = SP_SEV_ADVICE,
    .sentence = "MAIL before TLS is refused, but not with 530 (%1).",
    .why = "Only 530 tells a client that TLS, or a login, would change the answer.",
    .rfc = "RFC 3207 section 4",
    .change = "Refuse with 530 5.7.0.",
    .postfix = "smtpd_tls_security_level = encrypt")
SP_FINDING(TLS_TEMPORARY_CODE, .id = "tls-temporary-code", .check = SP_C_P03, .severity = SP_SEV_INTEROP,
    .sentence = "%1 before TLS is refused with a temporary code (%2).",
    .why = "A client that queues tries again for days instead of starting TLS or telling its user.",
    .rfc = "RFC 3207 section 4",
    .change = "Refuse with 530 5.7.0.")

SP_CHECK(P09, .id = "P09", .title = "STARTTLS with an argument, and before EHLO",
    .asks = "Says STARTTLS with a word behind it, and on another connection before EHLO.",
    .tier = SP_TIER_GENTLE, .needs = SP_NEEDS_STARTTLS)

SP_FINDING(STARTTLS_ARGUMENT_TAKEN, .id = "starttls-argument-taken", .check = SP_C_P09,
    .severity = SP_SEV_ADVICE,
    .sentence = "STARTTLS with an argument is accepted (%1).",
    .why = "It takes none; a server that does not look may also overlook other things on that line.",
    .rfc = "RFC 3207 section 4", .change = "Answer 501 5.5.4.")
SP_FINDING(STARTTLS_ARGUMENT_REFUSED, .id = "starttls-argument-refused", .check = SP_C_P09,
    .severity = SP_SEV_GOOD, .sentence = "STARTTLS with an argument is refused (%1).",
    .why = "It takes none.", .rfc = "RFC 3207 section 4")
SP_FINDING(STARTTLS_BEFORE_EHLO, .id = "starttls-before-ehlo", .check = SP_C_P09, .severity = SP_SEV_GOOD,
    .sentence = "STARTTLS is possible before EHLO (%1).",
    .why = "Some clients do not ask first.", .rfc = "RFC 3207 section 4")
SP_FINDING(STARTTLS_AFTER_EHLO, .id = "starttls-after-ehlo", .check = SP_C_P09, .severity = SP_SEV_GOOD,
    .sentence = "STARTTLS is possible only after EHLO (%1).",
    .why = "A client has to read first that it is offered.", .rfc = "RFC 3207 section 4")

SP_CHECK(P43, .id = "P43", .title = "long lines",
    .asks = "Sends a command line of 512 octets, and an AUTH line of 5300 octets for a mechanism that nobody has.",
    .tier = SP_TIER_GENTLE, .needs = SP_NEEDS_STARTTLS)

SP_FINDING(COMMAND_LINE_TAKEN, .id = "command-line-taken", .check = SP_C_P43, .severity = SP_SEV_GOOD,
    .sentence = "A command line of 512 octets is read.", .why = "Addresses may be long.", .rfc = "RFC 5321 section 4.5.3.1.4")
SP_FINDING(COMMAND_LINE_REFUSED, .id = "command-line-refused", .check = SP_C_P43, .severity = SP_SEV_ADVICE,
    .sentence = "A command line of 512 octets is refused (%1).", .why = "Mail with long addresses does not get through.",
    .rfc = "RFC 5321 section 4.5.3.1.4", .change = "Take command lines of 512 octets and more.", .postfix = "line_length_limit")
SP_FINDING(LONG_AUTH_LINE, .id = "long-auth-line", .check = SP_C_P43, .severity = SP_SEV_GOOD,
    .sentence = "An AUTH line of 5300 octets is read (%1).",
    .why = "Tokens and tickets are that long.", .rfc = "RFC 4954 section 4")
SP_FINDING(LONG_AUTH_LINE_REFUSED, .id = "long-auth-line-refused", .check = SP_C_P43,
    .severity = SP_SEV_ADVICE,
    .sentence = "An AUTH line of 5300 octets is refused (%1).",
    .why = "Access tokens and Kerberos tickets would not fit; passwords do.",
    .rfc = "RFC 4954 section 4", .change = "Read AUTH lines of up to 12288 octets.",
    .postfix = "line_length_limit")
SP_FINDING(LONG_AUTH_LINE_REFUSED_TOKENS, .id = "long-auth-line-refused-tokens", .check = SP_C_P43,
    .severity = SP_SEV_INTEROP,
    .sentence = "An AUTH line of 5300 octets is refused (%1), though a mechanism with long tokens is listed.",
    .why = "Users with a long token or ticket cannot log in.",
    .rfc = "RFC 4954 section 4", .change = "Read AUTH lines of up to 12288 octets.",
    .postfix = "line_length_limit")

SP_CHECK(P28, .id = "P28", .title = "a handshake that fails",
    .asks = "Lets the TLS handshake fail and says NOOP in clear.",
    .tier = SP_TIER_GENTLE, .needs = SP_NEEDS_STARTTLS)

SP_FINDING(CLEAR_AUTH_AFTER_HANDSHAKE, .id = "clear-auth-after-handshake", .check = SP_C_P28,
    .severity = SP_SEV_INSECURE,
    .sentence = "After a failed handshake the session goes on in clear (%1), and takes a password there (%2).",
    .why = "Who disturbs the handshake gets the password of a client that does not notice.",
    .rfc = "RFC 3207 section 4.1", .change = "Close the connection when the handshake fails.")
SP_FINDING(CLEAR_AFTER_HANDSHAKE, .id = "clear-after-handshake", .check = SP_C_P28,
    .severity = SP_SEV_ADVICE,
    .sentence = "After a failed handshake the session goes on in clear (%1).",
    .why = "Client and server can disagree on whether TLS is up; who disturbs the handshake profits from it.",
    .rfc = "RFC 3207 section 4.1", .change = "Close the connection when the handshake fails.")
SP_FINDING(CLOSED_AFTER_HANDSHAKE, .id = "closed-after-handshake", .check = SP_C_P28,
    .severity = SP_SEV_GOOD, .sentence = "After a failed handshake the connection is closed.",
    .why = "Nothing goes on in clear by accident.", .rfc = "RFC 3207 section 4.1")

SP_CHECK(P50, .id = "P50", .title = "clear text to the TLS port",
    .asks = "Says EHLO in clear to a port that speaks TLS first.",
    .tier = SP_TIER_GENTLE, .connections = 1)

SP_FINDING(TLS_PORT_SPEAKS_CLEAR, .id = "tls-port-speaks-clear", .check = SP_C_P50,
    .severity = SP_SEV_BROKEN,
    .sentence = "The port for implicit TLS answers in clear (%1).",
    .why = "It is no TLS port: clients that begin with TLS do not get in.",
    .rfc = "RFC 8314 section 3.3", .change = "Let the port begin with TLS, or check it without implicit TLS.",
    .postfix = "smtpd_tls_wrappermode = yes", .exim = "tls_on_connect_ports",
    .sendmail = "DaemonPortOptions with M=s", .dovecot = "inet_listener: ssl = yes", .opensmtpd = "listen on ... smtps")
SP_FINDING(TLS_PORT_REFUSES_CLEAR, .id = "tls-port-refuses-clear", .check = SP_C_P50,
    .severity = SP_SEV_GOOD, .sentence = "The port for implicit TLS does not talk in clear.",
    .why = "Nothing can be sent there unencrypted.", .rfc = "RFC 8314 section 3.3")

/* ==== STARTTLS ==== */

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
SP_FINDING(STARTTLS_CLEAR_ANSWER, .id = "starttls-clear-answer", .check = SP_C_P07,
    .severity = SP_SEV_INTEROP,
    .sentence = "A command sent behind STARTTLS is answered in clear behind the 220 (%1).",
    .why = "The answer stands where TLS must begin: the handshake breaks, or the client takes it for a reply from inside TLS.",
    .rfc = "RFC 3207 section 4.2",
    .change = "Throw away, or refuse, what was received behind STARTTLS.")
SP_FINDING(STARTTLS_CLEAN, .id = "starttls-clean", .check = SP_C_P07,
    .severity = SP_SEV_GOOD,
    .sentence = "What is sent in clear behind STARTTLS is not executed (%1).",
    .why = "Nobody on the way can put commands into the session.",
    .rfc = "RFC 3207 section 4.2")

SP_CHECK(P05, .id = "P05", .title = "MAIL after TLS without a new EHLO",
    .asks = "Says MAIL inside TLS without EHLO, once with an EHLO before TLS and once without any.",
    .tier = SP_TIER_GENTLE)

SP_FINDING(EHLO_REMEMBERED, .id = "ehlo-remembered", .check = SP_C_P05, .severity = SP_SEV_BROKEN,
    .sentence = "The EHLO that was said in clear still counts inside TLS: who never said it is refused (%1).",
    .why = "What was said in clear may come from somebody else; the server must forget it.",
    .rfc = "RFC 3207 section 4.2", .change = "Forget EHLO when TLS begins.",
    .exim = "tls_remember_esmtp = false (the default)")
SP_FINDING(GREETING_NOT_REQUIRED, .id = "greeting-not-required", .check = SP_C_P05,
    .severity = SP_SEV_ADVICE,
    .sentence = "MAIL is accepted without any EHLO or HELO (%1).",
    .why = "Whether the server forgets the EHLO at STARTTLS cannot be seen; clients that forget to say it again are not found out here, and fail elsewhere.",
    .rfc = "RFC 5321 section 4.1.4", .change = "Require a greeting.",
    .postfix = "smtpd_helo_required = yes", .exim = "helo_verify_hosts or an ACL with condition on $sender_helo_name",
    .sendmail = "PrivacyOptions with needmailhelo")
SP_FINDING(MAIL_WITHOUT_EHLO, .id = "mail-without-ehlo", .check = SP_C_P05, .severity = SP_SEV_ADVICE,
    .sentence = "MAIL is accepted inside TLS without a new EHLO (%1).",
    .why = "Either no greeting is required, or the one in clear is remembered, which it must not be.",
    .rfc = "RFC 3207 section 4.2", .change = "Require an EHLO inside TLS.",
    .postfix = "smtpd_helo_required = yes", .sendmail = "PrivacyOptions with needmailhelo")
SP_FINDING(EHLO_REQUIRED_IN_TLS, .id = "ehlo-required-in-tls", .check = SP_C_P05, .severity = SP_SEV_GOOD,
    .sentence = "MAIL inside TLS needs a new EHLO (%1).",
    .why = "The server has forgotten what was said in clear.", .rfc = "RFC 3207 section 4.2")
SP_FINDING(EHLO_REQUIRED_ODDLY, .id = "ehlo-required-oddly", .check = SP_C_P05, .severity = SP_SEV_ADVICE,
    .sentence = "MAIL inside TLS without a new EHLO is refused, but not with 503 (%1).",
    .why = "503 says that commands came in the wrong order; another code looks like a judgement on the mail.",
    .rfc = "RFC 5321 section 4.1.4", .change = "Answer 503 5.5.1.")

SP_CHECK(P06, .id = "P06", .title = "AUTH after TLS without a new EHLO",
    .asks = "Says AUTH PLAIN inside TLS without EHLO and takes it back.",
    .tier = SP_TIER_GENTLE)

SP_FINDING(AUTH_WITHOUT_EHLO, .id = "auth-without-ehlo", .check = SP_C_P06, .severity = SP_SEV_ADVICE,
    .sentence = "AUTH is accepted inside TLS without a new EHLO (%1).",
    .why = "A client that chooses its mechanism from the list in clear is not found out here.",
    .rfc = "RFC 3207 section 4.2", .change = "Answer 503 5.5.1 until EHLO was said.")
SP_FINDING(AUTH_NEEDS_EHLO, .id = "auth-needs-ehlo", .check = SP_C_P06, .severity = SP_SEV_GOOD,
    .sentence = "AUTH inside TLS needs a new EHLO (%1).",
    .why = "Mechanisms are chosen from the list inside TLS.", .rfc = "RFC 3207 section 4.2")

SP_CHECK(P08, .id = "P08", .title = "STARTTLS inside TLS",
    .asks = "Looks whether STARTTLS is still listed inside TLS and says it there.",
    .tier = SP_TIER_GENTLE)

SP_FINDING(STARTTLS_LISTED_IN_TLS, .id = "starttls-listed-in-tls", .check = SP_C_P08,
    .severity = SP_SEV_BROKEN, .sentence = "STARTTLS is still listed inside TLS.",
    .why = "A client that believes it starts TLS a second time and fails.",
    .rfc = "RFC 3207 section 4.2", .change = "Leave STARTTLS out of EHLO inside TLS.")
SP_FINDING(STARTTLS_TWICE, .id = "starttls-twice", .check = SP_C_P08, .severity = SP_SEV_ADVICE,
    .sentence = "STARTTLS is accepted a second time, inside TLS (%1).",
    .why = "There is nothing to start: the session is lost.",
    .rfc = "RFC 3207 section 4.2", .change = "Answer 503 5.5.1.")
SP_FINDING(STARTTLS_ONCE, .id = "starttls-once", .check = SP_C_P08, .severity = SP_SEV_GOOD,
    .sentence = "STARTTLS inside TLS is refused (%1).", .why = "It is up already.", .rfc = "RFC 3207 section 4.2")

SP_CHECK(P27, .id = "P27", .title = "HELO inside TLS",
    .asks = "Says HELO inside TLS, then AUTH PLAIN.",
    .tier = SP_TIER_GENTLE, .connections = 1)

SP_FINDING(HELO_REFUSED_IN_TLS, .id = "helo-refused-in-tls", .check = SP_C_P27, .severity = SP_SEV_INTEROP,
    .sentence = "HELO inside TLS is refused (%1).",
    .why = "nullmailer and s-nail say HELO there when they log in by certificate only.",
    .rfc = "RFC 5321 section 4.1.1.1", .change = "Accept HELO.")
SP_FINDING(AUTH_AFTER_HELO, .id = "auth-after-helo", .check = SP_C_P27, .severity = SP_SEV_ADVICE,
    .sentence = "AUTH is accepted after HELO (%1).",
    .why = "AUTH is an extension: who says HELO has not been told of it.",
    .rfc = "RFC 4954 section 4", .change = "Answer 503 5.5.1 until EHLO was said.")
SP_FINDING(HELO_IN_TLS, .id = "helo-in-tls", .check = SP_C_P27, .severity = SP_SEV_GOOD,
    .sentence = "HELO is accepted inside TLS, AUTH after it is not (%1).",
    .why = "Simple clients get in, extensions need EHLO.", .rfc = "RFC 5321 section 4.1.1.1")

/* ==== TLS ==== */

SP_CHECK(P30, .id = "P30", .title = "the server's certificate",
    .asks = "Verifies chain, name, dates and key of the certificate.",
    .tier = SP_TIER_GENTLE, .connections = 1)

SP_FINDING(HANDSHAKE_FAILED, .id = "handshake-failed", .check = SP_C_P30, .severity = SP_SEV_BROKEN,
    .sentence = "The TLS handshake fails (%1).",
    .why = "No client gets in that insists on TLS.", .rfc = "RFC 3207 section 4.1",
    .change = "See the server's log for the reason: key and certificate that do not belong together, no common version.",
    .postfix = "smtpd_tls_chain_files, smtpd_tls_protocols", .exim = "tls_certificate, tls_privatekey, tls_require_ciphers",
    .sendmail = "confSERVER_CERT, confSERVER_KEY, CipherList", .dovecot = "ssl_cert, ssl_key, ssl_min_protocol",
    .opensmtpd = "pki NAME cert, pki NAME key")
SP_FINDING(STARTTLS_REFUSED, .id = "starttls-refused", .check = SP_C_P30, .severity = SP_SEV_BROKEN,
    .sentence = "STARTTLS is listed, but refused (%1).",
    .why = "No client gets in that insists on TLS.", .rfc = "RFC 3207 section 4",
    .change = "See the server's log: often the key cannot be read, or a filter is not running.",
    .postfix = "smtpd_tls_chain_files; milter_default_action", .exim = "tls_certificate, tls_privatekey",
    .sendmail = "confSERVER_CERT, confSERVER_KEY, DontBlameSendmail")
SP_FINDING(EHLO_REFUSED_IN_TLS, .id = "ehlo-refused-in-tls", .check = SP_C_P30, .severity = SP_SEV_BROKEN,
    .sentence = "EHLO inside TLS is refused (%1).",
    .why = "Every client has to say it there; without it there is no login.",
    .rfc = "RFC 3207 section 4.2", .change = "Let the server answer EHLO inside TLS.",
    .postfix = "smtpd_tls_req_ccert (a certificate may be required)", .opensmtpd = "listen on ... tls-require verify")
SP_FINDING(CERT_GOOD, .id = "cert-good", .check = SP_C_P30, .severity = SP_SEV_GOOD,
    .sentence = "The certificate is valid for %1 until %2.",
    .why = "Clients can be sure whom they talk to.", .rfc = "RFC 8314 section 4.4")
SP_FINDING(CERT_NAME, .id = "cert-name", .check = SP_C_P30, .severity = SP_SEV_BROKEN,
    .sentence = "The certificate is not for %1; it is for: %2.",
    .why = "A client that verifies the name, as it has to, does not get in.",
    .rfc = "RFC 8314 section 4.4", .change = "Get a certificate with this name as dNSName, or tell users another name.",
    .postfix = "smtpd_tls_chain_files, tls_server_sni_maps", .exim = "tls_certificate (may use $tls_in_sni)",
    .sendmail = "confSERVER_CERT", .dovecot = "local_name NAME { ssl_cert }", .opensmtpd = "pki NAME cert")
SP_FINDING(CERT_EXPIRED, .id = "cert-expired", .check = SP_C_P30, .severity = SP_SEV_BROKEN,
    .sentence = "The certificate expired on %1.",
    .why = "No client that verifies it gets in.", .rfc = "RFC 5280 section 4.1.2.5",
    .change = "Renew it, and let the server load it.",
    .postfix = "postfix reload", .exim = "tls_certificate is read for each session", .dovecot = "doveadm reload",
    .sendmail = "restart the daemon", .opensmtpd = "restart the daemon")
SP_FINDING(CERT_NOT_YET, .id = "cert-not-yet", .check = SP_C_P30, .severity = SP_SEV_BROKEN,
    .sentence = "The certificate is not valid yet; it ends on %1.",
    .why = "No client that verifies it gets in.", .rfc = "RFC 5280 section 4.1.2.5",
    .change = "Set the clock that made it, or the one of the checking machine.")
SP_FINDING(CERT_EXPIRES_SOON, .id = "cert-expires-soon", .check = SP_C_P30, .severity = SP_SEV_ADVICE,
    .sentence = "The certificate expires on %1.",
    .why = "In less than two weeks no client gets in any more.", .rfc = "RFC 5280 section 4.1.2.5",
    .change = "Renew it, and see why it was not renewed by itself.")
SP_FINDING(CERT_SELF_SIGNED, .id = "cert-self-signed", .check = SP_C_P30, .severity = SP_SEV_BROKEN,
    .sentence = "The certificate is signed by itself (%1).",
    .why = "Clients that verify it, as they have to, do not get in; users learn to click warnings away.",
    .rfc = "RFC 8314 section 4.4", .change = "Get a certificate from a CA that the clients know, or give --ca here if they do.",
    .postfix = "smtpd_tls_chain_files", .exim = "tls_certificate", .sendmail = "confSERVER_CERT",
    .dovecot = "ssl_cert", .opensmtpd = "pki NAME cert")
SP_FINDING(CERT_ISSUER_UNKNOWN, .id = "cert-issuer-unknown", .check = SP_C_P30, .severity = SP_SEV_BROKEN,
    .sentence = "The certificate's issuer is not known, or its certificate is missing in the chain (%1).",
    .why = "Clients that verify it do not get in; those that know the intermediate certificate do, which hides the mistake.",
    .rfc = "RFC 8314 section 4.4",
    .change = "Put the intermediate certificates behind the server's own in its file; for a private CA give --ca here.",
    .postfix = "smtpd_tls_chain_files (the whole chain)", .exim = "tls_certificate (the whole chain)",
    .sendmail = "confCACERT", .dovecot = "ssl_cert (the whole chain)", .opensmtpd = "pki NAME cert (the whole chain)")
SP_FINDING(CERT_CHAIN, .id = "cert-chain", .check = SP_C_P30, .severity = SP_SEV_BROKEN,
    .sentence = "The certificate cannot be verified (%1).",
    .why = "Clients that verify it do not get in.", .rfc = "RFC 8314 section 4.4",
    .change = "Get a certificate from a CA that the clients know, or give --ca here if they do.")
SP_FINDING(CERT_WEAK_KEY, .id = "cert-weak-key", .check = SP_C_P30, .severity = SP_SEV_ADVICE,
    .sentence = "The certificate's key has only %1 bits.",
    .why = "It is not strong enough for years to come; many clients refuse it.",
    .rfc = "RFC 9325 section 4.5", .change = "Use RSA with 2048 bits or more, or P-256.")
SP_FINDING(CERT_WEAK_SIGNATURE, .id = "cert-weak-signature", .check = SP_C_P30, .severity = SP_SEV_ADVICE,
    .sentence = "The certificate is signed with %1.",
    .why = "Such signatures can be forged; many clients refuse them.",
    .rfc = "RFC 9325 section 4.5", .change = "Get a certificate signed with SHA-256.")

SP_CHECK(P31, .id = "P31", .title = "OCSP stapling",
    .asks = "Asks for a stapled answer about revocation.", .tier = SP_TIER_GENTLE)

SP_FINDING(MUST_STAPLE_MISSING, .id = "must-staple-missing", .check = SP_C_P31, .severity = SP_SEV_BROKEN,
    .sentence = "The certificate promises a stapled OCSP answer, and none comes.",
    .why = "Clients that look at the promise refuse the certificate.", .rfc = "RFC 7633 section 4.2.3",
    .change = "Switch stapling on, or get a certificate without the promise.",
    .postfix = "has no stapling: a certificate without must-staple", .exim = "tls_ocsp_file",
    .dovecot = "has no stapling: a certificate without must-staple")
SP_FINDING(STAPLED, .id = "stapled", .check = SP_C_P31, .severity = SP_SEV_GOOD,
    .sentence = "An OCSP answer is stapled.", .why = "Clients need not ask the CA.", .rfc = "RFC 6066 section 8")
SP_FINDING(NOT_STAPLED, .id = "not-stapled", .check = SP_C_P31, .severity = SP_SEV_GOOD,
    .sentence = "No OCSP answer is stapled, and the certificate does not promise one.",
    .why = "Mail clients do without.", .rfc = "RFC 6066 section 8")

SP_CHECK(P32, .id = "P32", .title = "TLS version, cipher and key exchange",
    .asks = "Looks at what a handshake with TLS 1.2 and 1.3 comes to.", .tier = SP_TIER_GENTLE)

SP_FINDING(TLS_13, .id = "tls-13", .check = SP_C_P32, .severity = SP_SEV_GOOD,
    .sentence = "TLS 1.3 is used (%1, %2).", .why = "It is the newest version.", .rfc = "RFC 9325 section 3.1.1")
SP_FINDING(TLS_12_ONLY, .id = "tls-12-only", .check = SP_C_P32, .severity = SP_SEV_ADVICE,
    .sentence = "TLS 1.3 is not spoken, only %1.",
    .why = "TLS 1.3 hides more and has no weak ciphers.", .rfc = "RFC 9325 section 3.1.1",
    .change = "Allow TLS 1.3.", .postfix = "smtpd_tls_protocols = >=TLSv1.2", .exim = "openssl_options without +no_tlsv1_3",
    .sendmail = "ServerSSLOptions", .dovecot = "ssl_min_protocol = TLSv1.2")
SP_FINDING(TLS_NO_FORWARD_SECRECY, .id = "tls-no-forward-secrecy", .check = SP_C_P32,
    .severity = SP_SEV_ADVICE,
    .sentence = "The key exchange has no forward secrecy (%1).",
    .why = "Who gets the server's key later can read what was recorded today.", .rfc = "RFC 9325 section 4.1",
    .change = "Prefer ECDHE.", .postfix = "smtpd_tls_eecdh_grade = auto", .exim = "tls_eccurve = auto",
    .dovecot = "ssl_cipher_list", .sendmail = "CipherList")
SP_FINDING(TLS_NO_EXTENDED_SECRET, .id = "tls-no-extended-secret", .check = SP_C_P32,
    .severity = SP_SEV_ADVICE,
    .sentence = "TLS 1.2 is spoken without extended master secret.",
    .why = "Logins cannot be bound to the connection, and sessions can be confused on purpose.",
    .rfc = "RFC 9325 section 3.5", .change = "Install a TLS library of this decade.")

SP_CHECK(P29, .id = "P29", .title = "old TLS versions",
    .asks = "Offers nothing newer than TLS 1.1.", .tier = SP_TIER_GENTLE)

SP_FINDING(TLS_OLD, .id = "tls-old", .check = SP_C_P29, .severity = SP_SEV_BROKEN,
    .sentence = "%1 is accepted.",
    .why = "It is broken in parts and must not be used; a client that can do no better sends its password through it.",
    .rfc = "RFC 8996 section 4", .change = "Accept TLS 1.2 and newer only.",
    .postfix = "smtpd_tls_protocols = >=TLSv1.2, smtpd_tls_mandatory_protocols = >=TLSv1.2",
    .exim = "openssl_options = +no_tlsv1 +no_tlsv1_1, or tls_require_ciphers with GnuTLS",
    .sendmail = "ServerSSLOptions=+SSL_OP_NO_TLSv1 +SSL_OP_NO_TLSv1_1", .dovecot = "ssl_min_protocol = TLSv1.2",
    .opensmtpd = "smtp ciphers; LibreSSL's default")
SP_FINDING(TLS_OLD_MX, .id = "tls-old-mx", .check = SP_C_P29, .severity = SP_SEV_ADVICE,
    .sentence = "%1 is accepted.",
    .why = "It is broken in parts; between servers it is still better than clear text, which would come instead.",
    .rfc = "RFC 8996 section 4", .change = "Accept TLS 1.2 and newer only, when your partners can.",
    .postfix = "smtpd_tls_protocols = >=TLSv1.2")
SP_FINDING(TLS_NEW_ONLY, .id = "tls-new-only", .check = SP_C_P29, .severity = SP_SEV_GOOD,
    .sentence = "TLS 1.0 and 1.1 are refused (%1).", .why = "They must not be used.", .rfc = "RFC 8996 section 4")

SP_CHECK(P33, .id = "P33", .title = "ciphers that hide nothing",
    .asks = "Offers only ciphers without encryption or without a certificate.",
    .tier = SP_TIER_THOROUGH, .connections = 1)

SP_FINDING(TLS_NO_SECRECY, .id = "tls-no-secrecy", .check = SP_C_P33, .severity = SP_SEV_INSECURE,
    .sentence = "A cipher without encryption or without authentication is accepted (%1).",
    .why = "TLS is up, and still everybody can read along or take the server's place.",
    .rfc = "RFC 9325 section 4.1", .change = "Exclude anonymous and NULL ciphers.",
    .postfix = "smtpd_tls_mandatory_exclude_ciphers = aNULL, eNULL", .exim = "tls_require_ciphers",
    .sendmail = "CipherList", .dovecot = "ssl_cipher_list = ...:!aNULL:!eNULL", .opensmtpd = "smtp ciphers")
SP_FINDING(TLS_STRONG_ONLY, .id = "tls-strong-only", .check = SP_C_P33, .severity = SP_SEV_GOOD,
    .sentence = "Ciphers without encryption or authentication are refused (%1).",
    .why = "TLS means secrecy here.", .rfc = "RFC 9325 section 4.1")

SP_CHECK(P22, .id = "P22", .title = "session tickets, and the end of TLS",
    .asks = "Counts session tickets and looks for close_notify after QUIT.", .tier = SP_TIER_GENTLE)

SP_FINDING(SESSION_TICKETS, .id = "session-tickets", .check = SP_C_P22, .severity = SP_SEV_ADVICE,
    .sentence = "The server sends %1 session tickets in TLS 1.3: libesmtp clients may hang.",
    .why = "They take the tickets for the end of the connection; a mail session gains nothing from them.",
    .change = "Switch session tickets off.",
    .postfix = "tls_ssl_options = NO_TICKET", .exim = "openssl_options = +no_ticket",
    .sendmail = "ServerSSLOptions=+SSL_OP_NO_TICKET", .dovecot = "ssl_options = no_ticket")
SP_FINDING(NO_SESSION_TICKETS, .id = "no-session-tickets", .check = SP_C_P22, .severity = SP_SEV_GOOD,
    .sentence = "No session tickets are sent.", .why = "libesmtp clients hang on them.")
SP_FINDING(NO_CLOSE_NOTIFY, .id = "no-close-notify", .check = SP_C_P22, .severity = SP_SEV_ADVICE,
    .sentence = "The connection is closed after QUIT without the end of TLS (close_notify).",
    .why = "A client cannot tell the end from an attack that cuts the connection; some report an error.",
    .rfc = "RFC 8446 section 6.1", .change = "Nothing that can be set in most servers; newer versions do it.")

SP_CHECK(P34, .id = "P34", .title = "the wish for a client certificate",
    .asks = "Looks whether the handshake asks for a certificate, and of which CAs.", .tier = SP_TIER_GENTLE)

SP_FINDING(CERT_NOT_ASKED, .id = "cert-not-asked", .check = SP_C_P34, .severity = SP_SEV_GOOD,
    .sentence = "No client certificate is asked for.", .why = "Logins are by password or token.")
SP_FINDING(CERT_ASKED, .id = "cert-asked", .check = SP_C_P34, .severity = SP_SEV_GOOD,
    .sentence = "A client certificate is asked for, of any CA.", .why = "Clients with a certificate may show it.")
SP_FINDING(CERTIFICATE_REQUIRED, .id = "certificate-required", .check = SP_C_P34, .severity = SP_SEV_ADVICE,
    .sentence = "Nobody is served without a client certificate (%1).",
    .why = "Programs that have none do not get in, with a password neither.", .rfc = "RFC 3207 section 4.1",
    .change = "Where passwords should do as well, ask for a certificate without requiring it.",
    .postfix = "smtpd_tls_req_ccert = no, smtpd_tls_ask_ccert = yes", .exim = "tls_try_verify_hosts instead of tls_verify_hosts",
    .opensmtpd = "listen on ... tls-require (without verify)")
SP_FINDING(CERT_ASKED_NAMES, .id = "cert-asked-names", .check = SP_C_P34, .severity = SP_SEV_GOOD,
    .sentence = "A client certificate of one of %1 CAs is asked for (the first: %2).",
    .why = "Some clients show only a certificate of a CA that is named, which may be wanted.")

/* ==== AUTH, nobody logged in ==== */

SP_CHECK(P04, .id = "P04", .title = "mechanisms before and inside TLS",
    .asks = "Compares the AUTH lines before and after STARTTLS.", .tier = SP_TIER_GENTLE,
    .needs = SP_NEEDS_STARTTLS)

SP_FINDING(AUTH_LIST_CHANGES, .id = "auth-list-changes", .check = SP_C_P04, .severity = SP_SEV_GOOD,
    .sentence = "The mechanisms change with TLS: before %1, inside %2; clients must say EHLO again.",
    .why = "A client that keeps the first list logs in wrongly or not at all.", .rfc = "RFC 3207 section 4.2")
SP_FINDING(AUTH_LIST_SAME, .id = "auth-list-same", .check = SP_C_P04, .severity = SP_SEV_GOOD,
    .sentence = "The mechanisms are the same before and inside TLS (%1).",
    .why = "Clients that forget to say EHLO again are not found out here.", .rfc = "RFC 3207 section 4.2")

SP_CHECK(P11, .id = "P11", .title = "EXTERNAL without a certificate",
    .asks = "Looks whether EXTERNAL is listed to a client that has shown no certificate.", .tier = SP_TIER_GENTLE)

SP_FINDING(EXTERNAL_FOR_ALL, .id = "external-for-all", .check = SP_C_P11, .severity = SP_SEV_INTEROP,
    .sentence = "EXTERNAL is offered to clients without a certificate: %1 fail.",
    .why = "They take EXTERNAL when it is listed, or give up on a list with it, and do not come to the password.",
    .rfc = "RFC 4954 section 4", .change = "List EXTERNAL only to a client that has shown a usable certificate; list SCRAM-SHA-256 for Postfix.",
    .exim = "server_advertise_condition = ${if bool{$tls_in_certificate_verified}}",
    .dovecot = "auth_mechanisms without external, or a separate listener")
SP_FINDING(EXTERNAL_NOT_FOR_ALL, .id = "external-not-for-all", .check = SP_C_P11, .severity = SP_SEV_GOOD,
    .sentence = "EXTERNAL is not offered without a certificate.", .why = "No client picks it in vain.",
    .rfc = "RFC 4954 section 4")

SP_CHECK(P19, .id = "P19", .title = "the edges of AUTH",
    .asks = "Cancels with *, names a mechanism that nobody has, sends what is no base64, and says AUTH behind MAIL where that is taken without a login.", .tier = SP_TIER_GENTLE)

SP_FINDING(AUTH_IN_TRANSACTION, .id = "auth-in-transaction", .check = SP_C_P19, .severity = SP_SEV_ADVICE,
    .sentence = "AUTH is accepted between MAIL and the end of the transaction (%1).",
    .why = "A message would change its sender's identity half way.", .rfc = "RFC 4954 section 4", .change = "Answer 503.")
SP_FINDING(STAR_IGNORED, .id = "star-ignored", .check = SP_C_P19, .severity = SP_SEV_BROKEN,
    .sentence = "* does not cancel AUTH (%1).",
    .why = "The client's next command is taken for a user name or password.", .rfc = "RFC 4954 section 4",
    .change = "End the exchange with 501 when * comes.")
SP_FINDING(STAR_ODDLY, .id = "star-oddly", .check = SP_C_P19, .severity = SP_SEV_ADVICE,
    .sentence = "* cancels AUTH, but not with 501 (%1).",
    .why = "It looks like a failed login.", .rfc = "RFC 4954 section 4", .change = "Answer 501 5.7.0.")
SP_FINDING(STAR_CANCELS, .id = "star-cancels", .check = SP_C_P19, .severity = SP_SEV_GOOD,
    .sentence = "* cancels AUTH (%1).", .why = "Clients can go on with another mechanism.", .rfc = "RFC 4954 section 4")
SP_FINDING(BASE64_ODDLY, .id = "base64-oddly", .check = SP_C_P19, .severity = SP_SEV_ADVICE,
    .sentence = "What is no base64 is refused, but not with 501 (%1).",
    .why = "A broken client looks like a wrong password.", .rfc = "RFC 4954 section 4", .change = "Answer 501 5.5.2.")
SP_FINDING(UNKNOWN_MECHANISM_ODDLY, .id = "unknown-mechanism-oddly", .check = SP_C_P19, .severity = SP_SEV_ADVICE,
    .sentence = "An unknown mechanism is refused, but not with 504 (%1).",
    .why = "A client cannot tell that another mechanism would do.", .rfc = "RFC 4954 section 4", .change = "Answer 504 5.5.4.")

SP_CHECK(P38, .id = "P38", .title = "mechanisms listed and taken",
    .asks = "Says AUTH with each of the first listed mechanisms, and takes it back.", .tier = SP_TIER_GENTLE)

SP_FINDING(MECHANISM_LISTED_REFUSED, .id = "mechanism-listed-refused", .check = SP_C_P38, .severity = SP_SEV_BROKEN,
    .sentence = "%1 is listed, but not available (%2).",
    .why = "A client that prefers it does not get in.", .rfc = "RFC 4954 section 4",
    .change = "List only what works.", .postfix = "smtpd_sasl_mechanism_filter, mech_list in sasl/smtpd.conf",
    .sendmail = "AuthMechanisms", .dovecot = "auth_mechanisms", .exim = "server_advertise_condition")
SP_FINDING(MECHANISM_UNLISTED_TAKEN, .id = "mechanism-unlisted-taken", .check = SP_C_P38, .severity = SP_SEV_ADVICE,
    .sentence = "%1 is not listed, but taken (%2).",
    .why = "What was switched off is still reachable.", .rfc = "RFC 4954 section 4", .change = "Refuse with 504 what is not listed.")
SP_FINDING(MECHANISMS_CONSISTENT, .id = "mechanisms-consistent", .check = SP_C_P38, .severity = SP_SEV_GOOD,
    .sentence = "The mechanisms that are listed are taken.", .why = "Clients can choose freely.", .rfc = "RFC 4954 section 4")

SP_CHECK(P20, .id = "P20", .title = "where a login is required",
    .asks = "Says MAIL and RCPT inside TLS without a login.", .tier = SP_TIER_GENTLE, .needs = SP_NEEDS_SUBMISSION)

SP_FINDING(AUTH_AT_MAIL, .id = "auth-at-mail", .check = SP_C_P20, .severity = SP_SEV_GOOD,
    .sentence = "MAIL without a login is refused with 530 (%1).", .why = "A client knows what is missing.",
    .rfc = "RFC 4954 section 6")
SP_FINDING(AUTH_AT_RCPT, .id = "auth-at-rcpt", .check = SP_C_P20, .severity = SP_SEV_ADVICE,
    .sentence = "MAIL is accepted without a login; RCPT is refused (%1).",
    .why = "The client cannot tell a missing login from a bad recipient.", .rfc = "RFC 4954 section 6",
    .change = "Refuse MAIL with 530 5.7.0 on the submission port.",
    .postfix = "smtpd_delay_reject = no, smtpd_sender_restrictions = permit_sasl_authenticated, reject",
    .sendmail = "DaemonPortOptions with M=a", .exim = "acl_smtp_mail: deny !authenticated = *")
SP_FINDING(AUTH_REQUIRED_ODDLY, .id = "auth-required-oddly", .check = SP_C_P20, .severity = SP_SEV_ADVICE,
    .sentence = "MAIL without a login is refused, but not with 530 (%1).",
    .why = "A client takes it for a judgement on the sender or on a password.", .rfc = "RFC 4954 section 6",
    .change = "Refuse with 530 5.7.0.", .exim = "acl_smtp_mail: message = 530 5.7.0 Authentication required")
SP_FINDING(AUTH_TEMPORARY_CODE, .id = "auth-temporary-code", .check = SP_C_P20, .severity = SP_SEV_INTEROP,
    .sentence = "Mail without a login is refused with a temporary code (%1).",
    .why = "A client that queues tries again for days instead of logging in or telling its user.",
    .rfc = "RFC 4954 section 6", .change = "Refuse with 530 5.7.0.")

SP_CHECK(P45, .id = "P45", .title = "relaying without a login",
    .asks = "Says MAIL and RCPT to example.com without a login, and takes them back.", .tier = SP_TIER_GENTLE)

SP_FINDING(OPEN_RELAY, .id = "open-relay", .check = SP_C_P45, .severity = SP_SEV_INSECURE,
    .sentence = "Mail to another domain (%1) is taken without a login%2.",
    .why = "Everybody can send mail through this server; it will be found and abused within hours.",
    .rfc = "RFC 5321 section 7.9", .change = "Relay for logged-in users and trusted networks only.",
    .postfix = "smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination; mynetworks",
    .exim = "acl_smtp_rcpt: require authenticated = *; hostlist relay_from_hosts",
    .sendmail = "access map, FEATURE(`promiscuous_relay') off; M=a", .dovecot = "ssl = required, no passdb without password",
    .opensmtpd = "match auth from any for any action relay")
SP_FINDING(NO_RELAY, .id = "no-relay", .check = SP_C_P45, .severity = SP_SEV_GOOD,
    .sentence = "Mail to another domain is refused without a login (%1).", .why = "Strangers cannot send mail here.",
    .rfc = "RFC 5321 section 7.9")

SP_CHECK(P24, .id = "P24", .title = "the form of the AUTH line",
    .asks = "Looks for AUTH=, names that stand there twice, and a line without names.", .tier = SP_TIER_GENTLE)

SP_FINDING(LEGACY_AUTH_ONLY, .id = "legacy-auth-only", .check = SP_C_P24, .severity = SP_SEV_BROKEN,
    .sentence = "Only the old form of the AUTH line (AUTH=) is listed.",
    .why = "curl, mutt and dma do not read it and send mail without a login.", .rfc = "RFC 4954 section 3",
    .change = "List AUTH with a blank, too.")
SP_FINDING(LEGACY_AUTH_LINE, .id = "legacy-auth-line", .check = SP_C_P24, .severity = SP_SEV_ADVICE,
    .sentence = "The old form of the AUTH line (AUTH=) is listed as well.",
    .why = "No client needs it any more.", .rfc = "RFC 4954 section 3", .change = "Leave it out.",
    .postfix = "broken_sasl_auth_clients = no")
SP_FINDING(MECHANISM_TWICE, .id = "mechanism-twice", .check = SP_C_P24, .severity = SP_SEV_ADVICE,
    .sentence = "%1 stands in the AUTH line twice.", .why = "Clients may try it twice.", .rfc = "RFC 4954 section 3",
    .change = "Name each mechanism once.")
SP_FINDING(AUTH_LINE_EMPTY, .id = "auth-line-empty", .check = SP_C_P24, .severity = SP_SEV_ADVICE,
    .sentence = "The AUTH line names no mechanism.", .why = "A client cannot tell what it may use.",
    .rfc = "RFC 4954 section 3", .change = "Name the mechanisms, or leave AUTH out.")
SP_FINDING(AUTH_LINE_GOOD, .id = "auth-line-good", .check = SP_C_P24, .severity = SP_SEV_GOOD,
    .sentence = "The AUTH line is well-formed.", .why = "Every client can read it.", .rfc = "RFC 4954 section 3")

SP_CHECK(P25, .id = "P25", .title = "SCRAM",
    .asks = "Looks for a mechanism inside TLS that does not show the password.", .tier = SP_TIER_GENTLE)

SP_FINDING(NO_SCRAM, .id = "no-scram", .check = SP_C_P25, .severity = SP_SEV_ADVICE,
    .sentence = "No SCRAM-SHA-256 is offered (%1).",
    .why = "The server, and who breaks into it, sees every password; a client cannot check that the server knows it.",
    .rfc = "RFC 7677 section 4", .change = "Offer SCRAM-SHA-256 as well.",
    .postfix = "mech_list in sasl/smtpd.conf (Cyrus), or Dovecot's auth_mechanisms", .exim = "an authenticator with driver gsasl",
    .sendmail = "AuthMechanisms", .dovecot = "auth_mechanisms = plain login scram-sha-256")
SP_FINDING(SCRAM_OFFERED, .id = "scram-offered", .check = SP_C_P25, .severity = SP_SEV_GOOD,
    .sentence = "SCRAM-SHA-256 is offered (%1).", .why = "The password is not shown to the server.", .rfc = "RFC 7677 section 4")
SP_FINDING(NO_AUTH_IN_TLS, .id = "no-auth-in-tls", .check = SP_C_P25, .severity = SP_SEV_ADVICE,
    .sentence = "No AUTH is offered inside TLS to a client without a certificate.",
    .why = "Nobody can log in with a password here.", .rfc = "RFC 6409 section 4.3",
    .change = "Offer AUTH, unless logins are by certificate only.",
    .postfix = "smtpd_sasl_auth_enable = yes", .exim = "auth_advertise_hosts", .sendmail = "AuthMechanisms",
    .opensmtpd = "listen on ... auth")

SP_CHECK(P37, .id = "P37", .title = "a wrong password",
    .asks = "Logs in with an invented user and password.", .tier = SP_TIER_GENTLE, .failed_logins = 1)

SP_FINDING(ANY_PASSWORD, .id = "any-password", .check = SP_C_P37, .severity = SP_SEV_INSECURE,
    .sentence = "%1 is accepted as a login (%2).",
    .why = "Everybody can send mail here, in anybody's name.", .rfc = "RFC 4954 section 4",
    .change = "See which password database the server really asks.",
    .postfix = "smtpd_sasl_path, pwcheck_method in sasl/smtpd.conf", .exim = "server_condition",
    .sendmail = "pwcheck_method in Sendmail.conf", .dovecot = "passdb", .opensmtpd = "listen on ... auth <table>")
SP_FINDING(WRONG_PASSWORD_REFUSED, .id = "wrong-password-refused", .check = SP_C_P37, .severity = SP_SEV_GOOD,
    .sentence = "A wrong password is refused with 535 (%1).", .why = "A client knows that it has to ask its user.",
    .rfc = "RFC 4954 section 6")
SP_FINDING(WRONG_PASSWORD_ODDLY, .id = "wrong-password-oddly", .check = SP_C_P37, .severity = SP_SEV_ADVICE,
    .sentence = "A wrong password is refused, but not with 535 (%1).",
    .why = "Only 535 says that another password would help.", .rfc = "RFC 4954 section 6", .change = "Answer 535 5.7.8.")

/* ==== the client certificate ==== */

SP_CHECK(P10, .id = "P10", .title = "EHLO with and without the certificate",
    .asks = "Compares the AUTH lines with and without the client certificate.",
    .tier = SP_TIER_GENTLE, .needs = SP_NEEDS_CERTIFICATE, .connections = 1)

SP_FINDING(OWN_CERT_REFUSED, .id = "own-cert-refused", .check = SP_C_P10, .severity = SP_SEV_INTEROP,
    .sentence = "The server does not go on with the certificate that was given (%1).",
    .why = "A client that shows it does not get in; with TLS 1.3 it looks like a lost connection.",
    .rfc = "RFC 8446 section 4.4.2.4",
    .change = "Let the server know the certificate's CA, or let it ignore certificates that it does not know.",
    .postfix = "smtpd_tls_CAfile, smtpd_tls_req_ccert = no", .exim = "tls_try_verify_hosts instead of tls_verify_hosts",
    .dovecot = "auth_ssl_require_client_cert = no", .opensmtpd = "listen on ... tls-require (without verify)",
    .recipe = SP_R_PASSWORD_NO_CERTIFICATE)
SP_FINDING(CERT_NOT_WANTED, .id = "cert-not-wanted", .check = SP_C_P10, .severity = SP_SEV_ADVICE,
    .sentence = "The server does not ask for a certificate: the one given is not even shown.",
    .why = "No login by certificate is possible.", .rfc = "RFC 8446 section 4.3.2",
    .change = "Ask for client certificates.",
    .postfix = "smtpd_tls_ask_ccert = yes", .exim = "tls_try_verify_hosts = *", .sendmail = "confCACERT",
    .dovecot = "ssl_verify_client_cert = yes (2.4: ssl_server_request_client_cert = yes)",
    .opensmtpd = "listen on ... tls-require verify")
SP_FINDING(CERT_REMOVES_AUTH, .id = "cert-removes-auth", .check = SP_C_P10, .severity = SP_SEV_INTEROP,
    .sentence = "The certificate removes AUTH from EHLO (without it: %1): the login is implicit.",
    .why = "msmtp, swaks, Python, Net::SMTP, NeoMutt and OpenSMTPD give up when they also hold a password and see no AUTH.",
    .rfc = "RFC 4954 section 4", .change = "Keep AUTH listed after a login by certificate.",
    .exim = "driver = external beside, or instead of, driver = tls", .recipe = SP_R_CERTIFICATE_IMPLICIT)
SP_FINDING(CERT_ADDS_EXTERNAL, .id = "cert-adds-external", .check = SP_C_P10, .severity = SP_SEV_GOOD,
    .sentence = "The certificate adds EXTERNAL (%1).", .why = "Clients see that it is usable.", .rfc = "RFC 4422 appendix A")
SP_FINDING(CERT_CHANGES_LIST, .id = "cert-changes-list", .check = SP_C_P10, .severity = SP_SEV_GOOD,
    .sentence = "The certificate changes the mechanisms: without %1, with %2.",
    .why = "Clients with a certificate see another list.", .rfc = "RFC 4954 section 4")
SP_FINDING(CERT_CHANGES_NOTHING, .id = "cert-changes-nothing", .check = SP_C_P10, .severity = SP_SEV_GOOD,
    .sentence = "The certificate changes nothing that can be seen in EHLO (%1).",
    .why = "Whether it counts shows at MAIL.", .rfc = "RFC 4954 section 4")

SP_CHECK(P12, .id = "P12", .title = "spellings of AUTH EXTERNAL",
    .asks = "Says AUTH EXTERNAL =, and when that fails AUTH EXTERNAL with the identity.",
    .tier = SP_TIER_GENTLE, .needs = SP_NEEDS_CERTIFICATE)

SP_FINDING(EXTERNAL_EQUALS, .id = "external-equals", .check = SP_C_P12, .severity = SP_SEV_GOOD,
    .sentence = "AUTH EXTERNAL = is accepted (%1).", .why = "A client need not know its own identity.",
    .rfc = "RFC 4422 appendix A.2", .recipe = SP_R_CERTIFICATE_EXTERNAL)
SP_FINDING(EXTERNAL_EQUALS_REFUSED, .id = "external-equals-refused", .check = SP_C_P12, .severity = SP_SEV_INTEROP,
    .sentence = "AUTH EXTERNAL = is refused (%1); send the identity.",
    .why = "nullmailer and s-nail (externanon) send no identity and do not get in.",
    .rfc = "RFC 4422 appendix A.2", .change = "Take the identity from the certificate when none is sent.",
    .exim = "server_condition that accepts an empty $auth1", .recipe = SP_R_CERTIFICATE_IDENTITY)
SP_FINDING(EXTERNAL_IR_IGNORED, .id = "external-ir-ignored", .check = SP_C_P12, .severity = SP_SEV_INTEROP,
    .sentence = "AUTH EXTERNAL = is answered by a challenge (%1), and works after an empty line (%2).",
    .why = "A client that has sent its initial response does not expect a challenge.",
    .rfc = "RFC 4954 section 4", .change = "Read = as an empty initial response.",
    .recipe = SP_R_CERTIFICATE_AT_ONCE)
SP_FINDING(EXTERNAL_IDENTITY, .id = "external-identity", .check = SP_C_P12, .severity = SP_SEV_GOOD,
    .sentence = "AUTH EXTERNAL with the identity %1 is accepted (%2).", .why = "Clients that send it get in.",
    .rfc = "RFC 4422 appendix A.2", .recipe = SP_R_CERTIFICATE_IDENTITY)
SP_FINDING(EXTERNAL_IDENTITY_REFUSED, .id = "external-identity-refused", .check = SP_C_P12, .severity = SP_SEV_INTEROP,
    .sentence = "AUTH EXTERNAL with the certificate's own identity %1 is refused (%2).",
    .why = "Clients that name themselves do not get in by EXTERNAL, though it is listed.",
    .rfc = "RFC 4422 appendix A.2", .change = "Map the certificate to an account, and accept its address as identity.",
    .exim = "server_param2, server_condition", .dovecot = "ssl_cert_username_field, passdb with mechanisms = external",
    .sendmail = "access map, CertSubject")

SP_CHECK(P26, .id = "P26", .title = "further spellings of AUTH EXTERNAL",
    .asks = "Says AUTH EXTERNAL without initial response and answers empty, with the identity and with =, and sends the account name.",
    .tier = SP_TIER_THOROUGH, .needs = SP_NEEDS_CERTIFICATE, .connections = 4, .failed_logins = 4)

SP_FINDING(EXTERNAL_SPELLING, .id = "external-spelling", .check = SP_C_P26, .severity = SP_SEV_GOOD,
    .sentence = "AUTH EXTERNAL with %1 is accepted (%2).", .why = "Clients that write it so get in.",
    .rfc = "RFC 4422 appendix A.2")
SP_FINDING(EXTERNAL_SPELLING_REFUSED, .id = "external-spelling-refused", .check = SP_C_P26, .severity = SP_SEV_ADVICE,
    .sentence = "AUTH EXTERNAL with %1 is refused (%2).",
    .why = "Clients differ: msmtp, curl and mutt answer 334 with the identity, mutt without a user with an empty line, Net::SMTP and Sendmail send the account name.",
    .rfc = "RFC 4422 appendix A.2", .change = "Accept all spellings that mean the certificate's own identity.")

SP_CHECK(P13, .id = "P13", .title = "EXTERNAL for somebody else",
    .asks = "Says AUTH EXTERNAL with an identity that is not the certificate's.",
    .tier = SP_TIER_GENTLE, .needs = SP_NEEDS_CERTIFICATE, .connections = 1, .failed_logins = 1)

SP_FINDING(EXTERNAL_ANY_IDENTITY, .id = "external-any-identity", .check = SP_C_P13, .severity = SP_SEV_INSECURE,
    .sentence = "EXTERNAL is accepted with any authorization identity (%1).",
    .why = "Who holds one certificate may be able to send in anybody's name.",
    .rfc = "RFC 4422 section 3.4.1", .change = "Compare the identity with the certificate.",
    .exim = "server_condition", .dovecot = "auth_ssl_username_from_cert = yes")
SP_FINDING(EXTERNAL_IDENTITY_IGNORED, .id = "external-identity-ignored", .check = SP_C_P13, .severity = SP_SEV_ADVICE,
    .sentence = "EXTERNAL says yes to any authorization identity (%1); Sendmail is known to do that.",
    .why = "A client cannot tell as whom it is logged in.", .rfc = "RFC 4422 section 3.4.1",
    .change = "Decide by the certificate, not by the identity.", .sendmail = "access map: CertSubject, CertIssuer")
SP_FINDING(EXTERNAL_OTHER_REFUSED, .id = "external-other-refused", .check = SP_C_P13, .severity = SP_SEV_GOOD,
    .sentence = "EXTERNAL with somebody else's identity is refused (%1).", .why = "The certificate says who it is.",
    .rfc = "RFC 4422 section 3.4.1")

SP_CHECK(P15, .id = "P15", .title = "MAIL after a failed EXTERNAL",
    .asks = "Says MAIL and RCPT after an AUTH EXTERNAL that was refused.",
    .tier = SP_TIER_GENTLE, .needs = SP_NEEDS_CERTIFICATE)

SP_FINDING(IMPLICIT_AFTER_FAILURE, .id = "implicit-after-failure", .check = SP_C_P15, .severity = SP_SEV_ADVICE,
    .sentence = "After a refused AUTH, MAIL is accepted by the certificate alone (%1).",
    .why = "The client asked to be somebody, was refused, and sends as somebody else.",
    .rfc = "RFC 4954 section 4", .change = "Let a failed AUTH switch the implicit login off for the session.",
    .dovecot = "submission_client_workarounds without implicit-auth-external")
SP_FINDING(NO_LOGIN_AFTER_FAILURE, .id = "no-login-after-failure", .check = SP_C_P15, .severity = SP_SEV_GOOD,
    .sentence = "After a refused AUTH nobody is logged in (%1).", .why = "A refusal is a refusal.", .rfc = "RFC 4954 section 4")

SP_CHECK(P14, .id = "P14", .title = "MAIL with the certificate alone",
    .asks = "Says MAIL and RCPT with the certificate and without AUTH, and takes them back.",
    .tier = SP_TIER_GENTLE, .needs = SP_NEEDS_CERTIFICATE)

SP_FINDING(CERT_IMPLICIT, .id = "cert-implicit", .check = SP_C_P14, .severity = SP_SEV_GOOD,
    .sentence = "The certificate alone is a login: MAIL is accepted without AUTH (%1).",
    .why = "Thunderbird, nullmailer, NeoMutt, swaks and Postfix log in so.", .rfc = "RFC 6409 section 4.3",
    .recipe = SP_R_CERTIFICATE_IMPLICIT)
SP_FINDING(CERT_EXPLICIT, .id = "cert-explicit", .check = SP_C_P14, .severity = SP_SEV_GOOD,
    .sentence = "The certificate alone is no login: MAIL without AUTH is refused (%1).",
    .why = "Clients that cannot say AUTH EXTERNAL (Thunderbird, nullmailer, NeoMutt, swaks, Postfix) do not get in by certificate.",
    .rfc = "RFC 6409 section 4.3")

SP_CHECK(P16, .id = "P16", .title = "a certificate of a foreign CA",
    .asks = "Shows a certificate made on the fly, and says MAIL, then AUTH EXTERNAL where it is listed.",
    .tier = SP_TIER_GENTLE, .connections = 1, .failed_logins = 1)

SP_FINDING(FOREIGN_CERT_COUNTS, .id = "foreign-cert-counts", .check = SP_C_P16, .severity = SP_SEV_INSECURE,
    .sentence = "A certificate that anybody can make is a login (%1: %2).",
    .why = "Everybody can send mail here, in anybody's name.", .rfc = "RFC 4422 appendix A.3",
    .change = "Count only certificates of the CA that issues them for this server.",
    .postfix = "permit_tls_clientcerts with relay_clientcerts, not permit_tls_all_clientcerts", .exim = "tls_verify_certificates; test $tls_in_certificate_verified",
    .sendmail = "confCACERT", .dovecot = "ssl_ca, auth_ssl_require_client_cert = yes")
SP_FINDING(FOREIGN_CERT_IGNORED, .id = "foreign-cert-ignored", .check = SP_C_P16, .severity = SP_SEV_GOOD,
    .sentence = "A foreign certificate is tolerated and does not count (%1).",
    .why = "Clients that show some certificate can still log in with a password.", .rfc = "RFC 8446 section 4.4.2.4")
SP_FINDING(FOREIGN_CERT_REFUSED, .id = "foreign-cert-refused", .check = SP_C_P16, .severity = SP_SEV_ADVICE,
    .sentence = "With a foreign certificate the server does not go on (%1).",
    .why = "Some programs, among them large providers, show their own certificate to everybody, and do not get in with a password.",
    .rfc = "RFC 8446 section 4.4.2.4", .change = "Ignore certificates that are not known.",
    .postfix = "smtpd_tls_req_ccert = no", .exim = "tls_try_verify_hosts instead of tls_verify_hosts",
    .opensmtpd = "listen on ... tls-require (without verify)")

SP_CHECK(P35, .id = "P35", .title = "an expired or revoked certificate",
    .asks = "Shows the certificate given with --bad-cert, and says MAIL, then AUTH EXTERNAL where it is listed.",
    .tier = SP_TIER_GENTLE, .needs = SP_NEEDS_BAD_CERT, .connections = 1)

SP_FINDING(BAD_CERT_COUNTS, .id = "bad-cert-counts", .check = SP_C_P35, .severity = SP_SEV_INSECURE,
    .sentence = "The certificate that must not count any more is a login (%1: %2).",
    .why = "Who lost the right to send, or stole an old key, still sends.", .rfc = "RFC 5280 section 6.1",
    .change = "Check dates and revocation lists.",
    .postfix = "remove the fingerprint from relay_clientcerts: it counts without dates", .exim = "tls_crl",
    .sendmail = "confCRL", .dovecot = "ssl_require_crl = yes, with the list in ssl_ca")
SP_FINDING(BAD_CERT_IGNORED, .id = "bad-cert-ignored", .check = SP_C_P35, .severity = SP_SEV_GOOD,
    .sentence = "The bad certificate does not count (%1).", .why = "It is no login any more.", .rfc = "RFC 5280 section 6.1")
SP_FINDING(BAD_CERT_REFUSED, .id = "bad-cert-refused", .check = SP_C_P35, .severity = SP_SEV_GOOD,
    .sentence = "With the bad certificate the server does not go on (%1).", .why = "It is no login any more.",
    .rfc = "RFC 5280 section 6.1")

SP_CHECK(P17, .id = "P17", .title = "password and certificate together",
    .asks = "Logs in with the password while the certificate is shown, in TLS 1.2.",
    .tier = SP_TIER_GENTLE, .needs = SP_NEEDS_CERTIFICATE | SP_NEEDS_PASSWORD, .connections = 1)

SP_FINDING(PASSWORD_REFUSED_WITH_CERT, .id = "password-refused-with-cert", .check = SP_C_P17, .severity = SP_SEV_INTEROP,
    .sentence = "The password is refused while the certificate is shown (%1), and accepted without it.",
    .why = "A client that holds both does not get in, and asks its user for another password.",
    .rfc = "RFC 4954 section 4", .change = "Judge a password by itself.",
    .dovecot = "auth_ssl_username_from_cert = no", .recipe = SP_R_PASSWORD_NO_CERTIFICATE)
SP_FINDING(PASSWORD_WITH_CERT, .id = "password-with-cert", .check = SP_C_P17, .severity = SP_SEV_GOOD,
    .sentence = "The password is accepted while the certificate is shown (%1).", .why = "Clients may hold both.",
    .rfc = "RFC 4954 section 4")

/* ==== a session with a login ==== */

SP_CHECK(P18, .id = "P18", .title = "after a login",
    .asks = "Logs in, says AUTH, HELO, RSET and EHLO again, and looks whether MAIL is still taken.",
    .tier = SP_TIER_GENTLE, .needs = SP_NEEDS_PASSWORD, .connections = 1)

SP_FINDING(LOGIN_WORKS, .id = "login-works", .check = SP_C_P18, .severity = SP_SEV_GOOD,
    .sentence = "The login works with %1 (%2).", .why = "User and password are right.", .rfc = "RFC 4954 section 4")
SP_FINDING(LOGIN_REFUSED, .id = "login-refused", .check = SP_C_P18, .severity = SP_SEV_ADVICE,
    .sentence = "The login was refused (%1): what needs one was not checked.",
    .why = "User or password may be wrong; that says nothing about the server.", .rfc = "RFC 4954 section 6")
SP_FINDING(EHLO_REFUSED_AFTER_AUTH, .id = "ehlo-refused-after-auth", .check = SP_C_P18, .severity = SP_SEV_INTEROP,
    .sentence = "EHLO after a login is refused (%1).",
    .why = "Dovecot's proxy and some libraries say it again after AUTH, and cannot send through this server.",
    .rfc = "RFC 5321 section 4.1.4", .change = "Accept EHLO at any time, and keep the login.")
SP_FINDING(EHLO_AFTER_AUTH, .id = "ehlo-after-auth", .check = SP_C_P18, .severity = SP_SEV_GOOD,
    .sentence = "EHLO is accepted after a login, with the same mechanisms (%1).", .why = "Every client can live with that.",
    .rfc = "RFC 5321 section 4.1.4")
SP_FINDING(AUTH_LIST_GONE_AFTER_AUTH, .id = "auth-list-gone-after-auth", .check = SP_C_P18, .severity = SP_SEV_GOOD,
    .sentence = "After a login EHLO lists other mechanisms (%1).",
    .why = "Clients must not conclude from it that no login is possible.", .rfc = "RFC 4954 section 4")
SP_FINDING(LOGIN_FORGOTTEN, .id = "login-forgotten", .check = SP_C_P18, .severity = SP_SEV_INTEROP,
    .sentence = "After EHLO, HELO and RSET the login is forgotten (%1).",
    .why = "Programs that say one of them between login and message do not get in.", .rfc = "RFC 4954 section 4",
    .change = "Keep the login until the connection ends.")
SP_FINDING(LOGIN_KEPT, .id = "login-kept", .check = SP_C_P18, .severity = SP_SEV_GOOD,
    .sentence = "A login survives EHLO, HELO and RSET.", .why = "Programs may say them at any time.", .rfc = "RFC 4954 section 4")
SP_FINDING(SECOND_AUTH_TAKEN, .id = "second-auth-taken", .check = SP_C_P18, .severity = SP_SEV_BROKEN,
    .sentence = "A second AUTH is accepted after a login (%1).",
    .why = "As whom the mail is sent is then open to doubt.", .rfc = "RFC 4954 section 4", .change = "Answer 503 5.5.1.")
SP_FINDING(SECOND_AUTH_REFUSED, .id = "second-auth-refused", .check = SP_C_P18, .severity = SP_SEV_GOOD,
    .sentence = "A second AUTH is refused with 503 (%1).", .why = "A session has one identity.", .rfc = "RFC 4954 section 4")
SP_FINDING(SECOND_AUTH_ODDLY, .id = "second-auth-oddly", .check = SP_C_P18, .severity = SP_SEV_ADVICE,
    .sentence = "A second AUTH is refused, but not with 503 (%1).", .why = "It looks like a failed login.",
    .rfc = "RFC 4954 section 4", .change = "Answer 503 5.5.1.")

SP_CHECK(P39, .id = "P39", .title = "SIZE",
    .asks = "Announces a message of one octet more than SIZE allows.",
    .tier = SP_TIER_GENTLE, .needs = SP_NEEDS_PASSWORD)

SP_FINDING(SIZE_KEPT, .id = "size-kept", .check = SP_C_P39, .severity = SP_SEV_GOOD,
    .sentence = "A message larger than SIZE %1 is refused at MAIL (%2).", .why = "It is not sent in vain.", .rfc = "RFC 1870 section 6.1")
SP_FINDING(SIZE_NOT_KEPT, .id = "size-not-kept", .check = SP_C_P39, .severity = SP_SEV_ADVICE,
    .sentence = "A message larger than SIZE %1 is not refused at MAIL (%2).",
    .why = "A client sends all of it before it is refused.", .rfc = "RFC 1870 section 6.1", .change = "Refuse it with 552 5.3.4.")
SP_FINDING(SIZE_REFUSED, .id = "size-refused", .check = SP_C_P39, .severity = SP_SEV_BROKEN,
    .sentence = "SIZE %1 is announced, but the parameter is not understood (%2).",
    .why = "Clients send it because it is announced, and are refused.", .rfc = "RFC 1870 section 3", .change = "Accept SIZE= at MAIL, or do not announce it.")

SP_CHECK(P40, .id = "P40", .title = "PIPELINING",
    .asks = "Sends MAIL, RCPT, RSET and NOOP in one packet, where it is announced.",
    .tier = SP_TIER_GENTLE, .needs = SP_NEEDS_PASSWORD)

SP_FINDING(PIPELINING_WORKS, .id = "pipelining-works", .check = SP_C_P40, .severity = SP_SEV_GOOD,
    .sentence = "Commands in one packet are answered in order.", .why = "Sending is faster.", .rfc = "RFC 2920 section 3.2")
SP_FINDING(PIPELINING_BROKEN, .id = "pipelining-broken", .check = SP_C_P40, .severity = SP_SEV_BROKEN,
    .sentence = "PIPELINING is announced, but commands in one packet are not answered in order (%1).",
    .why = "Clients that use it lose the session, or take a reply for another one.", .rfc = "RFC 2920 section 3.2",
    .change = "Do not announce PIPELINING; look for a proxy or filter in front of the server.",
    .postfix = "smtpd_discard_ehlo_keywords = pipelining", .exim = "pipelining_advertise_hosts =")

SP_CHECK(P41, .id = "P41", .title = "CHUNKING",
    .asks = "Sends a BDAT that has to be refused, whose octets look like a command, where it is announced.",
    .tier = SP_TIER_GENTLE, .needs = SP_NEEDS_PASSWORD)

SP_FINDING(CHUNKING_WORKS, .id = "chunking-works", .check = SP_C_P41, .severity = SP_SEV_GOOD,
    .sentence = "The octets of a refused BDAT are read and thrown away (%1).", .why = "They are never commands.", .rfc = "RFC 3030 section 2")
SP_FINDING(CHUNKING_UNKNOWN, .id = "chunking-unknown", .check = SP_C_P41, .severity = SP_SEV_BROKEN,
    .sentence = "CHUNKING is announced, but BDAT is not known (%1).",
    .why = "Clients use what is announced, and the message becomes commands.", .rfc = "RFC 3030 section 2",
    .change = "Do not announce CHUNKING.", .postfix = "smtpd_discard_ehlo_keywords = chunking", .exim = "chunking_advertise_hosts =")
SP_FINDING(CHUNK_EXECUTED, .id = "chunk-executed", .check = SP_C_P41, .severity = SP_SEV_INSECURE,
    .sentence = "The octets of a refused BDAT (%1) are executed as commands (%2).",
    .why = "Who writes the text of a message can send another one in the sender's name.", .rfc = "RFC 3030 section 2",
    .change = "Do not announce CHUNKING until the server reads the octets of a refused chunk.",
    .postfix = "smtpd_discard_ehlo_keywords = chunking", .exim = "chunking_advertise_hosts =")

SP_CHECK(P23, .id = "P23", .title = "PLAIN on behalf of somebody else",
    .asks = "Logs in by PLAIN with the right password and an authorization identity that nobody has.",
    .tier = SP_TIER_THOROUGH, .needs = SP_NEEDS_PASSWORD, .connections = 1, .failed_logins = 1)

SP_FINDING(AUTHZID_IGNORED, .id = "authzid-ignored", .check = SP_C_P23, .severity = SP_SEV_ADVICE,
    .sentence = "A foreign authorization identity (%1) is ignored or accepted, not refused (%2).",
    .why = "The client believes that it sends as somebody else.", .rfc = "RFC 4616 section 2",
    .change = "Refuse identities that the user may not act for.", .exim = "server_condition that looks at $auth1")
SP_FINDING(AUTHZID_REFUSED, .id = "authzid-refused", .check = SP_C_P23, .severity = SP_SEV_GOOD,
    .sentence = "A foreign authorization identity is refused (%1).", .why = "Nobody sends as somebody else.", .rfc = "RFC 4616 section 2")

SP_CHECK(P44, .id = "P44", .title = "a hundred recipients",
    .asks = "Names a hundred recipients, and takes them back.",
    .tier = SP_TIER_THOROUGH, .needs = SP_NEEDS_PASSWORD, .connections = 1)

SP_FINDING(RECIPIENTS_ENOUGH, .id = "recipients-enough", .check = SP_C_P44, .severity = SP_SEV_GOOD,
    .sentence = "A hundred recipients are accepted.", .why = "It is the least that every server must take.", .rfc = "RFC 5321 section 4.5.3.1.8")
SP_FINDING(RECIPIENTS_FEW, .id = "recipients-few", .check = SP_C_P44, .severity = SP_SEV_INTEROP,
    .sentence = "Only %1 recipients are accepted (%2).",
    .why = "Clients that send to a list in one go must split it, and many do not.", .rfc = "RFC 5321 section 4.5.3.1.8",
    .change = "Accept at least a hundred.", .postfix = "smtpd_recipient_limit", .exim = "recipients_max",
    .sendmail = "confMAX_RCPTS_PER_MESSAGE", .dovecot = "submission_max_recipients", .opensmtpd = "smtp limit max-rcpt")

SP_CHECK(P42, .id = "P42", .title = "enhanced status codes",
    .asks = "Looks at every reply of the run.", .tier = SP_TIER_GENTLE)

SP_FINDING(ENHANCED_CODES, .id = "enhanced-codes", .check = SP_C_P42, .severity = SP_SEV_GOOD,
    .sentence = "Replies carry enhanced status codes that agree with them.", .why = "Clients can tell reasons apart.", .rfc = "RFC 2034 section 3")
SP_FINDING(ENHANCED_MISSING, .id = "enhanced-missing", .check = SP_C_P42, .severity = SP_SEV_ADVICE,
    .sentence = "Enhanced status codes are announced, but %1 replies have none, for example the one to %2 (%3).",
    .why = "A client that relies on them does not know the reason.", .rfc = "RFC 2034 section 3", .change = "Nothing that can be set in most servers.")
SP_FINDING(ENHANCED_WRONG, .id = "enhanced-wrong", .check = SP_C_P42, .severity = SP_SEV_ADVICE,
    .sentence = "An enhanced status code contradicts its reply, to %1 (%2).",
    .why = "One says yes and the other no: clients decide differently.", .rfc = "RFC 2034 section 3",
    .change = "Let the class of the code be the reply's first digit; look at texts written by hand.",
    .exim = "message = in ACLs", .postfix = "texts in access tables")
SP_FINDING(ENHANCED_NOT_ANNOUNCED, .id = "enhanced-not-announced", .check = SP_C_P42, .severity = SP_SEV_GOOD,
    .sentence = "Enhanced status codes are not announced.", .why = "Clients do not rely on them here.", .rfc = "RFC 2034 section 3")

SP_CHECK(P46, .id = "P46", .title = "our own client",
    .asks = "Lets the client of this program log in, as it would to send mail.",
    .tier = SP_TIER_GENTLE, .connections = 1)

SP_FINDING(OWN_CLIENT_IN, .id = "own-client-in", .check = SP_C_P46, .severity = SP_SEV_GOOD,
    .sentence = "Sallyport's own client gets in by %1: %2.", .why = "A careful client with these credentials can send.", .rfc = "RFC 6409 section 4.3")
SP_FINDING(OWN_CLIENT_OUT, .id = "own-client-out", .check = SP_C_P46, .severity = SP_SEV_INTEROP,
    .sentence = "Sallyport's own client does not get in: %1.",
    .why = "Other checks found a way in, but a careful client does not take it.", .rfc = "RFC 6409 section 4.3",
    .change = "See the other findings: one of them is the reason.")

SP_CHECK(P36, .id = "P36", .title = "channel binding",
    .asks = "Lets our own client use a -PLUS mechanism, where one is listed.",
    .tier = SP_TIER_GENTLE, .needs = SP_NEEDS_PASSWORD)

SP_FINDING(CHANNEL_BINDING, .id = "channel-binding", .check = SP_C_P36, .severity = SP_SEV_GOOD,
    .sentence = "The login is bound to the TLS connection (%1).", .why = "Nobody can pass it on to another connection.", .rfc = "RFC 9266 section 1")
SP_FINDING(CHANNEL_BINDING_BROKEN, .id = "channel-binding-broken", .check = SP_C_P36, .severity = SP_SEV_BROKEN,
    .sentence = "A -PLUS mechanism is listed and fails, while %1 works: %2.",
    .why = "Clients prefer it when it is listed, and do not get in.", .rfc = "RFC 9266 section 1",
    .change = "Take the -PLUS mechanisms out of the list, or let TLS end in the server and not in front of it.",
    .dovecot = "auth_mechanisms without scram-sha-256-plus", .postfix = "mech_list in sasl/smtpd.conf",
    .exim = "server_channelbinding = true")

/* ==== intrusive ==== */

SP_CHECK(P21, .id = "P21", .title = "the end of a message",
    .asks = "Sends mails to the address given, with sequences in them that are not CRLF . CRLF, and with NUL.",
    .tier = SP_TIER_INTRUSIVE, .needs = SP_NEEDS_SEND_TO, .connections = 5, .mails = 5)

SP_FINDING(MESSAGE_END_VARIANT, .id = "message-end-variant", .check = SP_C_P21, .severity = SP_SEV_INSECURE,
    .sentence = "%1 ends a message (%2): mail can be smuggled in.",
    .why = "Other servers pass such octets on as text; what follows them becomes commands here, and mail that carries the other server's good name.",
    .rfc = "CVE-2023-51764",
    .change = "Let only CRLF . CRLF end a message.",
    .postfix = "smtpd_forbid_bare_newline = yes (3.9: normalize), smtpd_forbid_unauth_pipelining = yes",
    .exim = "4.97.1 or newer, chunking or not", .sendmail = "8.18.1 or newer; srv_features with O")
SP_FINDING(BARE_NEWLINE_KEPT, .id = "bare-newline-kept", .check = SP_C_P21, .severity = SP_SEV_ADVICE,
    .sentence = "A message with %1 is accepted (%2); it does not end there.",
    .why = "If the server passes it on as it is, a less careful one may find two messages in it.",
    .rfc = "RFC 5321 section 2.3.8", .change = "Refuse bare CR and LF, or make CRLF of them.",
    .postfix = "smtpd_forbid_bare_newline = reject")
SP_FINDING(BARE_NEWLINE_REFUSED, .id = "bare-newline-refused", .check = SP_C_P21, .severity = SP_SEV_GOOD,
    .sentence = "A message with %1 is refused (%2).", .why = "Nothing can be smuggled.", .rfc = "RFC 5321 section 2.3.8")
SP_FINDING(NUL_ACCEPTED, .id = "nul-accepted", .check = SP_C_P21, .severity = SP_SEV_ADVICE,
    .sentence = "A message with a NUL octet is accepted (%1).", .why = "Programs behind the server may see only what is before it.",
    .rfc = "RFC 5321 section 2.4", .change = "Refuse it, or take the octet out.", .postfix = "message_reject_characters = \\0")

/* ==== mail exchangers ==== */

SP_CHECK(P47, .id = "P47", .title = "DANE",
    .asks = "Looks TLSA records up and verifies the certificate with them.",
    .tier = SP_TIER_GENTLE, .needs = SP_NEEDS_MX | SP_NEEDS_STARTTLS, .connections = 1)

SP_FINDING(DANE_MISMATCH, .id = "dane-mismatch", .check = SP_C_P47, .severity = SP_SEV_BROKEN,
    .sentence = "The certificate does not agree with the TLSA records (%1).",
    .why = "Servers that look at DANE do not deliver mail any more.", .rfc = "RFC 7672 section 3",
    .change = "Publish the record of the new key before it is used, and keep the old one for two TTLs.")
SP_FINDING(DANE_WITHOUT_TLS, .id = "dane-without-tls", .check = SP_C_P47, .severity = SP_SEV_BROKEN,
    .sentence = "There are TLSA records, but no STARTTLS.",
    .why = "Servers that look at DANE do not deliver mail any more.", .rfc = "RFC 7672 section 2.2", .change = "Offer STARTTLS, or take the records away.")
SP_FINDING(DANE_BOGUS, .id = "dane-bogus", .check = SP_C_P47, .severity = SP_SEV_BROKEN,
    .sentence = "The TLSA records at %1 cannot be proven (%2).",
    .why = "Servers that look at DANE do not deliver mail any more.", .rfc = "RFC 7672 section 2.1", .change = "Repair the zone's signatures.")
SP_FINDING(MX_BOGUS, .id = "mx-bogus", .check = SP_C_P47, .severity = SP_SEV_BROKEN,
    .sentence = "The MX records of %1 cannot be proven (%2).",
    .why = "Servers whose resolver validates find no exchange and deliver nothing.", .rfc = "RFC 7672 section 2.1.1", .change = "Repair the zone's signatures.")
SP_FINDING(DANE_MX_UNSIGNED, .id = "dane-mx-unsigned", .check = SP_C_P47, .severity = SP_SEV_ADVICE,
    .sentence = "The MX records of %1 are not signed, or the resolver does not pass signatures on.",
    .why = "Whoever forges them leads mail past the TLSA records.", .rfc = "RFC 7672 section 2.2.1", .change = "Sign the zone that holds the MX records.")
SP_FINDING(DANE_UNUSABLE, .id = "dane-unusable", .check = SP_C_P47, .severity = SP_SEV_ADVICE,
    .sentence = "None of the TLSA records has a usage that counts for mail (2 or 3).",
    .why = "They promise TLS, but nobody can be verified by them.", .rfc = "RFC 7672 section 3.1", .change = "Publish 3 1 1 records.")
SP_FINDING(DANE_UNSIGNED, .id = "dane-unsigned", .check = SP_C_P47, .severity = SP_SEV_ADVICE,
    .sentence = "There are TLSA records at %1, but they are not signed, or the resolver does not pass signatures on.",
    .why = "Unsigned records count for nothing.", .rfc = "RFC 7672 section 2.1", .change = "Sign the zone.")
SP_FINDING(DANE_NONE, .id = "dane-none", .check = SP_C_P47, .severity = SP_SEV_GOOD,
    .sentence = "There are no TLSA records at %1.", .why = "DANE is not used.", .rfc = "RFC 7672 section 2.2")
SP_FINDING(DANE_MATCHES, .id = "dane-matches", .check = SP_C_P47, .severity = SP_SEV_GOOD,
    .sentence = "The certificate agrees with the TLSA records.", .why = "Servers that look at DANE know whom they talk to.", .rfc = "RFC 7672 section 3")

SP_CHECK(P48, .id = "P48", .title = "MTA-STS",
    .asks = "Fetches the domain's policy and holds exchange and certificate against it.",
    .tier = SP_TIER_GENTLE, .needs = SP_NEEDS_MX)

SP_FINDING(STS_MX_NOT_LISTED, .id = "sts-mx-not-listed", .check = SP_C_P48, .severity = SP_SEV_BROKEN,
    .sentence = "The exchange %1 is not in the MTA-STS policy (mode %2).",
    .why = "Servers that look at the policy do not deliver to it.", .rfc = "RFC 8461 section 4.1", .change = "Add it to the policy, and renew the id of the record.")
SP_FINDING(STS_CERT, .id = "sts-cert", .check = SP_C_P48, .severity = SP_SEV_BROKEN,
    .sentence = "The certificate of %1 is not one that the MTA-STS policy (mode %2) allows: %3.",
    .why = "Servers that look at the policy do not deliver to it.", .rfc = "RFC 8461 section 4.2", .change = "Get a certificate of a public CA with the exchange's name.")
SP_FINDING(STS_POLICY_MISSING, .id = "sts-policy-missing", .check = SP_C_P48, .severity = SP_SEV_BROKEN,
    .sentence = "There is an MTA-STS record, but no policy (%1).",
    .why = "The promise cannot be kept by anybody.", .rfc = "RFC 8461 section 3.3", .change = "Publish the policy, with a valid certificate and without redirection.")
SP_FINDING(STS_POLICY_INVALID, .id = "sts-policy-invalid", .check = SP_C_P48, .severity = SP_SEV_BROKEN,
    .sentence = "The MTA-STS policy of %1 is not valid: %2.",
    .why = "It counts for nothing.", .rfc = "RFC 8461 section 3.2", .change = "Write version: STSv1, a mode, the exchanges and max_age.")
SP_FINDING(STS_WITHOUT_TLS, .id = "sts-without-tls", .check = SP_C_P48, .severity = SP_SEV_BROKEN,
    .sentence = "STARTTLS does not work at %1, which the MTA-STS policy (mode %2) asks for.",
    .why = "Servers that look at the policy do not deliver to it.", .rfc = "RFC 8461 section 4.2", .change = "Offer STARTTLS with a valid certificate.")
SP_FINDING(STS_RECORD_INVALID, .id = "sts-record-invalid", .check = SP_C_P48, .severity = SP_SEV_ADVICE,
    .sentence = "The MTA-STS record at %1 does not count: %2.",
    .why = "The policy is as good as absent.", .rfc = "RFC 8461 section 3.1", .change = "Publish exactly one record: v=STSv1; id=... .")
SP_FINDING(STS_NONE, .id = "sts-none", .check = SP_C_P48, .severity = SP_SEV_GOOD,
    .sentence = "%1 has no MTA-STS policy in force.", .why = "MTA-STS is not used.", .rfc = "RFC 8461 section 3.1")
SP_FINDING(STS_AGREES, .id = "sts-agrees", .check = SP_C_P48, .severity = SP_SEV_GOOD,
    .sentence = "The exchange agrees with the MTA-STS policy (mode %1).", .why = "Servers that look at the policy deliver.", .rfc = "RFC 8461 section 4")

/* clang-format on */
