# After implicit login the first AUTH EXTERNAL for the same identity gets 235; then 503 (PROTOCOL 2)
server implicit-tls
! tls usable alice
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
! auth ok alice
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: AUTH EXTERNAL =
S: 503 5.5.1 A mail transaction is open: finish it or send RSET first
C: RSET
S: 250 2.0.0 Ok
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S: 503 5.5.1 Already authenticated as alice
! auth ok alice
C: AUTH EXTERNAL =
S: 235 2.7.0 Authenticated as alice
C: AUTH EXTERNAL =
S: 503 5.5.1 Already authenticated as alice
