/*
 * cat_client.h - what can be found about a client: rows of the catalogue.  See
 * cat_server.h.
 */
/* clang-format off */

SP_CHECK(C01, .id = "C01", .title = "EHLO again after STARTTLS",
    .asks = "Offers STARTTLS and waits for what the client says first inside TLS.",
    .tier = SP_TIER_GENTLE, .connections = 1)

SP_FINDING(NO_EHLO_AFTER_STARTTLS, .id = "no-ehlo-after-starttls", .check = SP_C_C01,
    .severity = SP_SEV_BROKEN,
    .sentence = "The client does not say EHLO again after STARTTLS; it sends %1.",
    .why = "Servers forget the first EHLO, and what they offer inside TLS is another list.",
    .rfc = "RFC 3207 section 4.2",
    .change = "Send EHLO as the first command inside TLS and use only what it lists.")

/* clang-format on */
