/*
 * cat_client.h - what can be found about a client: rows of the catalogue.  See
 * cat_server.h.
 */
/* clang-format off */

SP_CHECK(C01, .id = "C01", .title = "an ordinary submission",
    .asks = "Is a server like any other: STARTTLS, a login, one message; looks at "
           "every command.",
    .tier = SP_TIER_GENTLE, .connections = 1)

SP_FINDING(ORDINARY_NOT_DELIVERED, .id = "ordinary-not-delivered", .check = SP_C_C01,
    .severity = SP_SEV_BROKEN,
    .sentence = "The client did not get one message through to a server like any other "
               "(%1).",
    .why = "Without one ordinary submission nothing else about the client can be "
          "said.",
    .rfc = "RFC 6409 section 3",
    .change = "Look at the dialogue and at the command: server, port, authority, user"
             " and password are given as {host} {port} {ca} {user} {password-file}.")

SP_FINDING(ORDINARY_DELIVERED, .id = "ordinary-delivered", .check = SP_C_C01,
    .severity = SP_SEV_GOOD,
    .sentence = "The client delivers a message by STARTTLS and says so.",
    .why = "This is what all other cases are compared with.",
    .rfc = "RFC 6409 section 3")

SP_FINDING(STARTTLS_NOT_USED, .id = "starttls-not-used", .check = SP_C_C01,
    .severity = SP_SEV_INSECURE,
    .sentence = "The client sends mail without TLS although STARTTLS is offered.",
    .why = "Everybody on the way reads the message, and the password where there "
          "is one.",
    .rfc = "RFC 8314 section 3",
    .change = "Switch TLS on, as required and not as optional; as an author, make "
             "that the default.")

SP_FINDING(NO_QUIT, .id = "no-quit", .check = SP_C_C01,
    .severity = SP_SEV_ADVICE,
    .sentence = "The client closes the connection without QUIT.",
    .why = "Harmless for the message, which was accepted; some servers log it as a"
          " lost connection.",
    .rfc = "RFC 5321 section 4.1.1.10",
    .change = "Send QUIT and wait for its reply before closing.")

SP_FINDING(TALKS_FIRST, .id = "talks-first", .check = SP_C_C01,
    .severity = SP_SEV_INTEROP,
    .sentence = "The client speaks before the server's greeting is there.",
    .why = "Servers that look for spam programs refuse whoever does not wait.",
    .rfc = "RFC 5321 section 4.3.1",
    .change = "Wait for the complete greeting before EHLO.")

SP_FINDING(EHLO_WITHOUT_NAME, .id = "ehlo-without-name", .check = SP_C_C01,
    .severity = SP_SEV_INTEROP,
    .sentence = "The client says EHLO or HELO without a name.",
    .why = "The name is mandatory; servers refuse the command.",
    .rfc = "RFC 5321 section 4.1.1.1",
    .change = "Send the host's name, or its address in brackets.")

SP_FINDING(COMMAND_BARE_LF, .id = "command-bare-lf", .check = SP_C_C01,
    .severity = SP_SEV_INTEROP,
    .sentence = "The client ends a command with a bare LF.",
    .why = "Servers that allow only CR LF refuse it or wait for ever, because bare"
          " LFs are used for smuggling.",
    .rfc = "RFC 5321 section 2.3.8",
    .change = "End every command with CR LF.")

SP_FINDING(BLANK_BEFORE_PATH, .id = "blank-before-path", .check = SP_C_C01,
    .severity = SP_SEV_ADVICE,
    .sentence = "The client puts a blank between the colon of MAIL or RCPT and the "
               "address.",
    .why = "The grammar knows no blank there; most servers tolerate it, not all.",
    .rfc = "RFC 5321 section 4.1.1.2",
    .change = "Write MAIL FROM:<address>.")

SP_FINDING(NO_ANGLE_BRACKETS, .id = "no-angle-brackets", .check = SP_C_C01,
    .severity = SP_SEV_INTEROP,
    .sentence = "The client writes an address in MAIL or RCPT without angle brackets.",
    .why = "The grammar demands them; strict servers answer 501.",
    .rfc = "RFC 5321 section 4.1.2",
    .change = "Write MAIL FROM:<address>.")

SP_FINDING(PIPELINED_NOT_OFFERED, .id = "pipelined-not-offered", .check = SP_C_C01,
    .severity = SP_SEV_INTEROP,
    .sentence = "The client sends the next command before the reply to %1 although the "
               "server did not offer that (%2).",
    .why = "Servers without PIPELINING drop the octets or close the connection; "
          "after EHLO, AUTH and DATA nobody may do it.",
    .rfc = "RFC 2920 section 3.1",
    .change = "Wait for each reply unless the last EHLO reply listed PIPELINING.")

SP_FINDING(MECHANISM_NOT_OFFERED, .id = "mechanism-not-offered", .check = SP_C_C01,
    .severity = SP_SEV_ADVICE,
    .sentence = "The client tries %1, which the server did not list (%2).",
    .why = "The attempt fails, and with a mechanism that shows the password it "
          "shows it to a server that did not ask.",
    .rfc = "RFC 4954 section 4",
    .change = "Use only mechanisms of the last EHLO reply.")

SP_FINDING(SUCCESS_CLAIMED, .id = "success-claimed", .check = SP_C_C01,
    .severity = SP_SEV_BROKEN,
    .sentence = "The client says that all went well, but the server never took the "
               "message (%1).",
    .why = "The mail is lost and nobody knows.",
    .rfc = "RFC 5321 section 4.2.5",
    .change = "End with a failure unless the server answered the end of the message "
             "with 2xx.")

SP_FINDING(SUCCESS_CLAIMED_UNKNOWN, .id = "success-claimed-unknown", .check = SP_C_C01,
    .severity = SP_SEV_BROKEN,
    .sentence = "The client says that all went well although the connection was lost "
               "before the server answered the end of the message (%1).",
    .why = "Whether the server has the message is not known; if it has not, the "
          "mail is lost.",
    .rfc = "RFC 5321 section 4.5.3.2.6",
    .change = "Treat a missing reply to the final dot as a failure that may be "
             "retried.")

SP_FINDING(FAILURE_CLAIMED, .id = "failure-claimed", .check = SP_C_C01,
    .severity = SP_SEV_INTEROP,
    .sentence = "The client says that it failed, but the server took the message (%1).",
    .why = "People send it again, and it arrives twice.",
    .rfc = "RFC 5321 section 4.2.5",
    .change = "Once the end of the message was answered with 2xx the outcome is "
             "success, whatever comes after it.")

SP_FINDING(CLIENT_CRASHED, .id = "client-crashed", .check = SP_C_C01,
    .severity = SP_SEV_BROKEN,
    .sentence = "The client crashed (%1).",
    .why = "A server, or whoever sits between, can end it at will; such crashes "
          "are often worse than that.",
    .change = "Report it to the author with the dialogue below.")

SP_FINDING(CLIENT_HANGS, .id = "client-hangs", .check = SP_C_C01,
    .severity = SP_SEV_BROKEN,
    .sentence = "The client did not end by itself (%1).",
    .why = "Whoever waits for it waits for ever, and no mail is sent.",
    .change = "Close when the server has closed, and have time limits for everything.")

SP_CHECK(C02, .id = "C02", .title = "EHLO again after STARTTLS",
    .asks = "Refuses MAIL and AUTH inside TLS until EHLO was said there.",
    .tier = SP_TIER_GENTLE, .connections = 1)

SP_FINDING(NO_EHLO_AFTER_STARTTLS, .id = "no-ehlo-after-starttls", .check = SP_C_C02,
    .severity = SP_SEV_BROKEN,
    .sentence = "The client does not say EHLO again after STARTTLS.",
    .why = "Servers forget the first EHLO and refuse what comes next; what they "
          "offer inside TLS is another list.",
    .rfc = "RFC 3207 section 4.2",
    .change = "Send EHLO as the first command inside TLS and use only what it lists.")

SP_FINDING(HELO_AFTER_STARTTLS, .id = "helo-after-starttls", .check = SP_C_C02,
    .severity = SP_SEV_INTEROP,
    .sentence = "The client says HELO after STARTTLS.",
    .why = "HELO gives no extensions and no AUTH: logins, SIZE and 8-bit mail do "
          "not work, and some servers refuse it.",
    .rfc = "RFC 3207 section 4.2",
    .change = "Send EHLO as the first command inside TLS.")

SP_FINDING(EHLO_AFTER_STARTTLS, .id = "ehlo-after-starttls", .check = SP_C_C02,
    .severity = SP_SEV_GOOD,
    .sentence = "The client says EHLO again after STARTTLS.",
    .why = "The list of the TLS state is the only one that counts.",
    .rfc = "RFC 3207 section 4.2")

SP_CHECK(C03, .id = "C03", .title = "capabilities of one TLS state only",
    .asks = "Lists other extensions and mechanisms in clear than inside TLS.",
    .tier = SP_TIER_GENTLE, .connections = 1)

SP_FINDING(STALE_MECHANISM, .id = "stale-mechanism", .check = SP_C_C03,
    .severity = SP_SEV_BROKEN,
    .sentence = "The client uses the mechanism %1, which was listed only before TLS.",
    .why = "What was listed in clear may come from an attacker and must be "
          "forgotten; servers refuse the mechanism.",
    .rfc = "RFC 3207 section 4.2",
    .change = "Drop the whole list at STARTTLS and read it again.")

SP_FINDING(STALE_EXTENSION, .id = "stale-extension", .check = SP_C_C03,
    .severity = SP_SEV_INTEROP,
    .sentence = "The client uses the parameter %1, whose extension was listed only "
               "before TLS.",
    .why = "What was listed in clear may come from an attacker and must be "
          "forgotten; servers answer 555.",
    .rfc = "RFC 3207 section 4.2",
    .change = "Drop all capabilities at STARTTLS and read them again.")

SP_FINDING(CAPABILITIES_FRESH, .id = "capabilities-fresh", .check = SP_C_C03,
    .severity = SP_SEV_GOOD,
    .sentence = "The client uses only what the present EHLO reply lists.",
    .why = "Older lists may come from an attacker.",
    .rfc = "RFC 3207 section 4.2")

SP_CHECK(C04, .id = "C04", .title = "nothing leaves in clear",
    .asks = "Does not offer STARTTLS, refuses it with 454 and 554, breaks the "
           "handshake, knows no EHLO; would then take a password and a message "
           "without TLS.",
    .tier = SP_TIER_GENTLE, .connections = 1)

SP_FINDING(SECRET_IN_CLEAR, .id = "secret-in-clear", .check = SP_C_C04,
    .severity = SP_SEV_INSECURE,
    .sentence = "The client sends the password without TLS (%1).",
    .why = "Whoever can strip or break STARTTLS, as any network in between can, "
          "gets the password.",
    .rfc = "RFC 8314 section 3.3",
    .change = "Require TLS in the client's settings (not `if available`); as an "
             "author, never log in without it.")

SP_FINDING(CHALLENGE_IN_CLEAR, .id = "challenge-in-clear", .check = SP_C_C04,
    .severity = SP_SEV_INSECURE,
    .sentence = "The client logs in by a challenge mechanism without TLS (%1).",
    .why = "Whoever listens can guess the password offline and take over the "
          "session.",
    .rfc = "RFC 8314 section 3.3",
    .change = "Require TLS in the client's settings; as an author, never log in "
             "without it.")

SP_FINDING(TEXT_IN_CLEAR, .id = "text-in-clear", .check = SP_C_C04,
    .severity = SP_SEV_INSECURE,
    .sentence = "The client sends the message without TLS (%1).",
    .why = "Whoever can strip or break STARTTLS reads and changes the mail.",
    .rfc = "RFC 8314 section 3.3",
    .change = "Require TLS in the client's settings (not `if available`).")

SP_FINDING(CLEAR_REFUSED, .id = "clear-refused", .check = SP_C_C04,
    .severity = SP_SEV_GOOD,
    .sentence = "Without TLS the client sends neither password nor mail.",
    .why = "That is what requiring TLS means.",
    .rfc = "RFC 8314 section 3.3")

SP_CHECK(C05, .id = "C05", .title = "replies injected behind the 220",
    .asks = "Sends replies in clear behind the 220 of STARTTLS and waits with the "
           "real one.",
    .tier = SP_TIER_GENTLE, .connections = 1)

SP_FINDING(INJECTION_BELIEVED, .id = "injection-believed", .check = SP_C_C05,
    .severity = SP_SEV_INSECURE,
    .sentence = "The client believes replies that were sent in clear behind the 220 of "
               "STARTTLS.",
    .why = "An attacker writes the beginning of the TLS session: capabilities, "
          "mechanisms, replies (the class of CVE-2021-38371).",
    .rfc = "RFC 3207 section 6",
    .change = "Close the connection, or at least drop everything read before the "
             "handshake.")

SP_FINDING(INJECTION_IGNORED, .id = "injection-ignored", .check = SP_C_C05,
    .severity = SP_SEV_GOOD,
    .sentence = "Replies sent in clear behind the 220 are not believed.",
    .why = "They can only come from an attacker or a broken server.",
    .rfc = "RFC 3207 section 6")

SP_CHECK(C06, .id = "C06", .title = "the server's certificate",
    .asks = "Shows a certificate for another name, of an authority that nobody "
           "trusts, and an expired one.",
    .tier = SP_TIER_GENTLE, .connections = 1)

SP_FINDING(WRONG_NAME_ACCEPTED, .id = "wrong-name-accepted", .check = SP_C_C06,
    .severity = SP_SEV_INSECURE,
    .sentence = "The client accepts a certificate for another name.",
    .why = "Anybody with any certificate can be the server.",
    .rfc = "RFC 7817 section 3",
    .change = "Verify the server's name; as an author, make it the default.")

SP_FINDING(UNTRUSTED_ACCEPTED, .id = "untrusted-accepted", .check = SP_C_C06,
    .severity = SP_SEV_INSECURE,
    .sentence = "The client accepts a certificate of an authority that it was not told "
               "to trust.",
    .why = "Anybody can make such a certificate and be the server.",
    .rfc = "RFC 8314 section 3.3",
    .change = "Verify the certificate's chain; as an author, make it the default.")

SP_FINDING(EXPIRED_ACCEPTED, .id = "expired-accepted", .check = SP_C_C06,
    .severity = SP_SEV_INSECURE,
    .sentence = "The client accepts an expired certificate.",
    .why = "The authority no longer vouches for it, and lists of revoked ones "
          "forget it: a stolen key stays good for ever.",
    .rfc = "RFC 5280 section 6.1.3",
    .change = "Verify the certificate's dates; as an author, make it the default.")

SP_FINDING(CERTIFICATE_VERIFIED, .id = "certificate-verified", .check = SP_C_C06,
    .severity = SP_SEV_GOOD,
    .sentence = "The client does not talk to a server with this certificate (%1).",
    .why = "TLS protects only against whom the certificate keeps out.",
    .rfc = "RFC 8314 section 3.3")

SP_CHECK(C07, .id = "C07", .title = "EHLO refused inside TLS",
    .asks = "Answers EHLO inside TLS with 502 and takes HELO.",
    .tier = SP_TIER_GENTLE, .connections = 1)

SP_FINDING(HELO_INSIDE_TLS, .id = "helo-inside-tls", .check = SP_C_C07,
    .severity = SP_SEV_ADVICE,
    .sentence = "The client says HELO when EHLO is refused inside TLS, then gives up.",
    .why = "Harmless, but useless: nothing it needs there works with HELO.",
    .rfc = "RFC 3207 section 4.2",
    .change = "Report the refusal of EHLO in the server's words.")

SP_FINDING(HELO_MAIL_INSIDE_TLS, .id = "helo-mail-inside-tls", .check = SP_C_C07,
    .severity = SP_SEV_INTEROP,
    .sentence = "The client says HELO when EHLO is refused inside TLS and sends mail "
               "without the login it was told to use.",
    .why = "A server that only hiccups gets the mail without a login and refuses "
          "it, or takes it for somebody else's.",
    .rfc = "RFC 3207 section 4.2",
    .change = "Where a login is wanted a refused EHLO is an error.")

SP_FINDING(MAIL_WITHOUT_GREETING, .id = "mail-without-greeting", .check = SP_C_C07,
    .severity = SP_SEV_BROKEN,
    .sentence = "The client sends MAIL inside TLS although its EHLO there was refused "
               "and no HELO was said.",
    .why = "A session begins with a greeting; servers answer 503.",
    .rfc = "RFC 5321 section 4.1.4",
    .change = "Treat the refused EHLO as an error.")

SP_CHECK(C08, .id = "C08", .title = "logins",
    .asks = "Lists mechanisms in old, doubled and unknown forms, refuses logins, "
           "proves SCRAM falsely.",
    .tier = SP_TIER_GENTLE, .connections = 1)

SP_FINDING(LEGACY_AUTH_LINE_UNREAD, .id = "legacy-auth-line-unread", .check = SP_C_C08,
    .severity = SP_SEV_ADVICE,
    .sentence = "The client does not read mechanisms from a line `AUTH=...`.",
    .why = "Some old servers write only that form.",
    .rfc = "RFC 4954 section 3",
    .change = "Nothing, unless such a server must be used.")

SP_FINDING(AUTH_LINE_MISREAD, .id = "auth-line-misread", .check = SP_C_C08,
    .severity = SP_SEV_INTEROP,
    .sentence = "The client cannot log in when the list has doubled, unknown or old "
               "forms of mechanisms (%1).",
    .why = "Real servers write such lists.",
    .rfc = "RFC 4954 section 3",
    .change = "Take each known name once and ignore the rest.")

SP_FINDING(MAIL_AFTER_REFUSED_LOGIN, .id = "mail-after-refused-login", .check = SP_C_C08,
    .severity = SP_SEV_ADVICE,
    .sentence = "The client sends MAIL after its login was refused.",
    .why = "Servers that take mail from anybody (for their own users) then take it"
          " without the sender's identity.",
    .rfc = "RFC 4954 section 4",
    .change = "Treat a refused login as an error.")

SP_FINDING(EXTERNAL_WITHOUT_CERTIFICATE, .id = "external-without-certificate", .check = SP_C_C08,
    .severity = SP_SEV_INTEROP,
    .sentence = "The client tries EXTERNAL although it has no certificate, fails, and "
               "does not try its password.",
    .why = "Servers that list EXTERNAL for everybody are out of its reach.",
    .rfc = "RFC 4422 appendix A",
    .change = "Skip EXTERNAL unless a certificate was sent; after its failure go on "
             "with the next mechanism.")

SP_FINDING(SCRAM_SIGNATURE_UNCHECKED, .id = "scram-signature-unchecked", .check = SP_C_C08,
    .severity = SP_SEV_INSECURE,
    .sentence = "The client goes on although the server did not prove that it knows the"
               " password (%1).",
    .why = "SCRAM's proof is what tells the real server from one that only wants "
          "the session.",
    .rfc = "RFC 5802 section 3",
    .change = "Verify the server's signature before anything else is sent.")

SP_FINDING(SCRAM_SIGNATURE_CHECKED, .id = "scram-signature-checked", .check = SP_C_C08,
    .severity = SP_SEV_GOOD,
    .sentence = "The client does not go on with a server that proves SCRAM falsely "
               "(%1).",
    .why = "The server's proof is half of what SCRAM is for.",
    .rfc = "RFC 5802 section 3")

SP_CHECK(C09, .id = "C09", .title = "client certificates",
    .asks = "Wants AUTH EXTERNAL, wants none, lists no AUTH at all, and asks with "
           "an empty 334.",
    .tier = SP_TIER_GENTLE, .connections = 1)

SP_FINDING(EXTERNAL_NOT_SPOKEN, .id = "external-not-spoken", .check = SP_C_C09,
    .severity = SP_SEV_INTEROP,
    .sentence = "The client shows a certificate but does not say AUTH EXTERNAL where "
               "the server wants it.",
    .why = "Exim, Sendmail, Dovecot and Courier count a certificate only after "
          "AUTH EXTERNAL.",
    .rfc = "RFC 4422 appendix A",
    .change = "Choose the mechanism EXTERNAL in the client's settings; as an author, "
             "use it when it is listed and a certificate was sent.")

SP_FINDING(IMPLICIT_NOT_TRIED, .id = "implicit-not-tried", .check = SP_C_C09,
    .severity = SP_SEV_INTEROP,
    .sentence = "The client has a certificate but does not send MAIL when EXTERNAL is "
               "not listed.",
    .why = "Postfix, OpenSMTPD and Exim's tls driver know the client by its "
          "certificate and list no EXTERNAL.",
    .change = "Without a listed EXTERNAL try MAIL before giving up.")

SP_FINDING(AUTH_GONE_UNMANAGED, .id = "auth-gone-unmanaged", .check = SP_C_C09,
    .severity = SP_SEV_INTEROP,
    .sentence = "The client gives up when its certificate makes the server list no AUTH"
               " at all.",
    .why = "Exim's tls driver removes AUTH from its list once the certificate "
          "logged in.",
    .change = "With a certificate, no AUTH in the list means: go on with MAIL.")

SP_FINDING(EXTERNAL_334_UNMANAGED, .id = "external-334-unmanaged", .check = SP_C_C09,
    .severity = SP_SEV_INTEROP,
    .sentence = "The client cannot answer an empty 334 to AUTH EXTERNAL.",
    .why = "Courier answers 334 even to an initial response.",
    .rfc = "RFC 4954 section 4",
    .change = "Answer an empty challenge with the identity or an empty line.")

SP_FINDING(CERTIFICATE_MANAGED, .id = "certificate-managed", .check = SP_C_C09,
    .severity = SP_SEV_GOOD,
    .sentence = "The client gets in by its certificate (%1).",
    .why = "Servers use all of these ways.")

SP_CHECK(C10, .id = "C10", .title = "530 in both its meanings",
    .asks = "Answers 530 in clear, and inside TLS with words about STARTTLS.",
    .tier = SP_TIER_GENTLE, .connections = 1)

SP_FINDING(STARTTLS_INSIDE_TLS, .id = "starttls-inside-tls", .check = SP_C_C10,
    .severity = SP_SEV_INTEROP,
    .sentence = "The client says STARTTLS inside TLS (%1).",
    .why = "Servers refuse it, or start TLS in TLS; the reply 530 means a login "
          "there.",
    .rfc = "RFC 3207 section 4.2",
    .change = "Never send STARTTLS when TLS is on; inside TLS 530 means AUTH.")

SP_CHECK(C11, .id = "C11", .title = "replies in pieces",
    .asks = "Sends one octet at a time, replies of many lines, and lines that are "
           "too long.",
    .tier = SP_TIER_GENTLE, .connections = 1)

SP_FINDING(SPLIT_REPLIES_UNMANAGED, .id = "split-replies-unmanaged", .check = SP_C_C11,
    .severity = SP_SEV_BROKEN,
    .sentence = "The client cannot read replies that arrive one octet at a time.",
    .why = "Networks may cut a reply anywhere.",
    .rfc = "RFC 5321 section 4.2.1",
    .change = "Read until the line is complete.")

SP_FINDING(MULTILINE_REPLIES_UNMANAGED, .id = "multiline-replies-unmanaged", .check = SP_C_C11,
    .severity = SP_SEV_INTEROP,
    .sentence = "The client cannot read replies of several lines to commands other than"
               " EHLO.",
    .why = "Any reply may have several lines.",
    .rfc = "RFC 5321 section 4.2.1",
    .change = "Read all lines of every reply.")

SP_FINDING(LONG_REPLY_LINE_UNMANAGED, .id = "long-reply-line-unmanaged", .check = SP_C_C11,
    .severity = SP_SEV_ADVICE,
    .sentence = "The client gives up at a reply line of 2000 octets.",
    .why = "Lines may have 512, so it may; some servers write longer ones.",
    .rfc = "RFC 5321 section 4.5.3.1.5",
    .change = "Nothing, unless such a server must be used.")

SP_CHECK(C12, .id = "C12", .title = "endless replies",
    .asks = "Repeats the lines of one reply four hundred thousand times.",
    .tier = SP_TIER_GENTLE, .connections = 1)

SP_FINDING(ENDLESS_REPLY_READ, .id = "endless-reply-read", .check = SP_C_C12,
    .severity = SP_SEV_ADVICE,
    .sentence = "The client reads one reply of four hundred thousand lines to its end "
               "(%1).",
    .why = "A bad server keeps it busy, and its memory full, for as long as it "
          "likes.",
    .change = "Limit the lines of a reply.")

SP_CHECK(C13, .id = "C13", .title = "421 at every step",
    .asks = "Answers each command in turn with 421 and closes.",
    .tier = SP_TIER_GENTLE, .connections = 1)

SP_FINDING(GOING_DOWN_UNDERSTOOD, .id = "going-down-understood", .check = SP_C_C13,
    .severity = SP_SEV_GOOD,
    .sentence = "The client ends with a failure when it is answered 421.",
    .why = "The mail is tried again, or somebody is told.",
    .rfc = "RFC 5321 section 3.8")

SP_CHECK(C14, .id = "C14", .title = "disconnected at every step",
    .asks = "Closes in place of a reply to each command in turn.",
    .tier = SP_TIER_GENTLE, .connections = 1)

SP_FINDING(DISCONNECT_UNDERSTOOD, .id = "disconnect-understood", .check = SP_C_C14,
    .severity = SP_SEV_GOOD,
    .sentence = "The client ends with a failure when the connection is lost.",
    .why = "The mail is tried again, or somebody is told.",
    .rfc = "RFC 5321 section 3.8")

SP_CHECK(C15, .id = "C15", .title = "refused recipients",
    .asks = "Refuses the second of two recipients, and all of them.",
    .tier = SP_TIER_GENTLE, .connections = 1)

SP_FINDING(PARTIAL_REFUSAL_HIDDEN, .id = "partial-refusal-hidden", .check = SP_C_C15,
    .severity = SP_SEV_BROKEN,
    .sentence = "The client says that all went well although one of the recipients was "
               "refused.",
    .why = "The sender believes that everybody has the mail.",
    .rfc = "RFC 5321 section 4.2.5",
    .change = "Report every refused recipient, and end with a failure.")

SP_CHECK(C16, .id = "C16", .title = "refusals, early and late",
    .asks = "Refuses MAIL, DATA and the complete message, for now and for good.",
    .tier = SP_TIER_GENTLE, .connections = 1)

SP_FINDING(REFUSAL_TOLD, .id = "refusal-told", .check = SP_C_C16,
    .severity = SP_SEV_GOOD,
    .sentence = "The client ends with a failure when the server refuses the mail.",
    .why = "The mail is tried again, or somebody is told.",
    .rfc = "RFC 5321 section 4.2.5")

SP_CHECK(C17, .id = "C17", .title = "dots and the end of the message",
    .asks = "Gives it lines that begin with dots, lines that are only a dot, and no"
           " line end at the end.",
    .tier = SP_TIER_GENTLE, .connections = 1)

SP_FINDING(MESSAGE_CUT, .id = "message-cut", .check = SP_C_C17,
    .severity = SP_SEV_BROKEN,
    .sentence = "A part of the message is missing (%1).",
    .why = "Mail is lost without anybody noticing.",
    .rfc = "RFC 5321 section 4.5.2",
    .change = "Stuff dots, and take input to its end (some programs end at a lone dot"
             " unless told otherwise).")

SP_FINDING(MESSAGE_CHANGED, .id = "message-changed", .check = SP_C_C17,
    .severity = SP_SEV_BROKEN,
    .sentence = "The text of the message arrives changed (%1): %2.",
    .why = "Signatures break and attachments with them.",
    .rfc = "RFC 5321 section 4.5.2",
    .change = "Send the octets of the body as they were given; only dots are stuffed.")

SP_FINDING(COMMAND_FROM_MESSAGE, .id = "command-from-message", .check = SP_C_C17,
    .severity = SP_SEV_INSECURE,
    .sentence = "A line of the message was sent as a command (%1).",
    .why = "Whoever writes the text of a mail can send mail in the sender's name.",
    .rfc = "RFC 5321 section 4.5.2",
    .change = "Put a dot in front of every line that begins with one.")

SP_FINDING(END_OF_DATA_BARE_LF, .id = "end-of-data-bare-lf", .check = SP_C_C17,
    .severity = SP_SEV_BROKEN,
    .sentence = "The client ends the message with bare LFs instead of CR LF.",
    .why = "That is no end: strict servers wait for it until the time is over.",
    .rfc = "RFC 5321 section 4.1.1.4",
    .change = "Send CR LF dot CR LF.")

SP_FINDING(MESSAGE_FAITHFUL, .id = "message-faithful", .check = SP_C_C17,
    .severity = SP_SEV_GOOD,
    .sentence = "Dots and the end of the message arrive as they were given (%1).",
    .why = "Nothing is lost and nothing is taken for a command.",
    .rfc = "RFC 5321 section 4.5.2")

SP_CHECK(C18, .id = "C18", .title = "line ends, long lines, NUL",
    .asks = "Gives it a message with bare CR and LF, one with too long lines, one "
           "with a NUL.",
    .tier = SP_TIER_GENTLE, .connections = 1)

SP_FINDING(BARE_LINE_END, .id = "bare-line-end", .check = SP_C_C18,
    .severity = SP_SEV_INTEROP,
    .sentence = "The client sends bare CR or LF inside the message.",
    .why = "Strict servers refuse the message; others take it for a line end, or "
          "not.",
    .rfc = "RFC 5321 section 2.3.8",
    .change = "Turn every line end into CR LF (curl: --crlf).")

SP_FINDING(SMUGGLING_PASSED_ON, .id = "smuggling-passed-on", .check = SP_C_C18,
    .severity = SP_SEV_INSECURE,
    .sentence = "The client passes on a lone dot between bare line ends.",
    .why = "A lax server takes it for the end of the message and what follows for "
          "commands: whoever writes the text can smuggle mail (CVE-2023-51764 and"
          " kin).",
    .rfc = "RFC 5321 section 2.3.8",
    .change = "Turn every line end into CR LF before dots are stuffed, or refuse the "
             "message.")

SP_FINDING(NUL_SENT, .id = "nul-sent", .check = SP_C_C18,
    .severity = SP_SEV_INTEROP,
    .sentence = "The client sends a NUL inside the message.",
    .why = "NUL is not allowed; servers refuse it, cut the line or drop the octet.",
    .rfc = "RFC 5321 section 4.5.2",
    .change = "Encode the part (base64), or refuse the message.")

SP_FINDING(LONG_LINE_SENT, .id = "long-line-sent", .check = SP_C_C18,
    .severity = SP_SEV_ADVICE,
    .sentence = "The client sends lines of more than 998 octets.",
    .why = "Servers may refuse or break them.",
    .rfc = "RFC 5321 section 4.5.3.1.6",
    .change = "Encode the part (quoted-printable), or refuse the message.")

SP_CHECK(C19, .id = "C19", .title = "extensions that are not offered",
    .asks = "Offers no extension, then a message and an address that would want "
           "one.",
    .tier = SP_TIER_GENTLE, .connections = 1)

SP_FINDING(PARAMETER_NOT_OFFERED, .id = "parameter-not-offered", .check = SP_C_C19,
    .severity = SP_SEV_INTEROP,
    .sentence = "The client uses the parameter %1, whose extension the server did not "
               "list (%2).",
    .why = "Servers answer 555 and the mail is not sent.",
    .rfc = "RFC 5321 section 4.1.1.11",
    .change = "Use parameters only where the last EHLO reply lists their extension.")

SP_FINDING(BDAT_NOT_OFFERED, .id = "bdat-not-offered", .check = SP_C_C19,
    .severity = SP_SEV_INTEROP,
    .sentence = "The client uses BDAT, which the server did not list (%1).",
    .why = "Servers answer 500 and take the message for commands.",
    .rfc = "RFC 3030 section 2",
    .change = "Use BDAT only where CHUNKING is listed.")

SP_FINDING(8BIT_NOT_OFFERED, .id = "8bit-not-offered", .check = SP_C_C19,
    .severity = SP_SEV_INTEROP,
    .sentence = "The client sends 8-bit octets to a server that does not offer "
               "8BITMIME.",
    .why = "Most servers pass them on, some change or refuse them.",
    .rfc = "RFC 6152 section 3",
    .change = "Encode the part (quoted-printable or base64) where 8BITMIME is not "
             "listed.")

SP_FINDING(UTF8_ADDRESS_NOT_OFFERED, .id = "utf8-address-not-offered", .check = SP_C_C19,
    .severity = SP_SEV_INTEROP,
    .sentence = "The client sends an address with non-ASCII letters to a server that "
               "does not offer SMTPUTF8.",
    .why = "Servers refuse it, or take it for another address.",
    .rfc = "RFC 6531 section 3.1",
    .change = "Refuse the address, with words that say why.")

SP_CHECK(C20, .id = "C20", .title = "late and missing replies",
    .asks = "Answers the end of the message after five seconds; with --thorough, "
           "says nothing at all.",
    .tier = SP_TIER_GENTLE, .connections = 1)

SP_FINDING(WAITS_FOR_EVER, .id = "waits-for-ever", .check = SP_C_C20,
    .severity = SP_SEV_ADVICE,
    .sentence = "The client waits longer than five and a half minutes for a silent "
               "server (%1).",
    .why = "The standard's times are five minutes (ten after the final dot); "
          "whoever starts the client waits with it.",
    .rfc = "RFC 5321 section 4.5.3.2",
    .change = "Set a time limit.")

/* clang-format on */
