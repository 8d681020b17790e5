# After implicit login AUTH EXTERNAL for another identity is 503, and the login stays (PROTOCOL 2)
server implicit-tls
! tls usable alice
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
! auth ok alice
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: RSET
S: 250 2.0.0 Ok
! auth ok bob
C: AUTH EXTERNAL Ym9i
= auth EXTERNAL first authzid=bob
S: 503 5.5.1 Already authenticated as alice
= user alice
