# Implicit login at the first well-formed MAIL, as if AUTH EXTERNAL = had been sent; it holds for the session (PROTOCOL 2)
server implicit-tls
! tls usable alice
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:alice
S~ 501 5.1.7
= nobody
! auth ok alice
C: MAIL FROM:<alice@example.org>
= auth EXTERNAL first implicit authzid=
= mail <alice@example.org>
S: 250 2.1.0 Sender ok
= user alice
C: RSET
S: 250 2.0.0 Ok
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
