# A certificate that does not count never breaks anything; the reason is told at MAIL and AUTH, passwords work (PROTOCOL 2)
server implicit-tls
! tls unusable certificate expired 2026-01-02
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: AUTH EXTERNAL =
S: 504 5.5.4 EXTERNAL not available: certificate expired 2026-01-02
C: MAIL FROM:<alice@example.org>
S: 530 5.7.0 Authentication required; the client certificate does not count: certificate expired 2026-01-02
! auth ok alice
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S: 235 2.7.0 Authenticated as alice
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
