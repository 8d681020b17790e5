# lenient-ehlo is about TLS: in clear a greeting is wanted as ever (PROTOCOL 1)
server lenient-ehlo no-login
S: 220 mx.example.org ESMTP
C: MAIL FROM:<alice@example.org>
S: 503 5.5.1 Send EHLO first
