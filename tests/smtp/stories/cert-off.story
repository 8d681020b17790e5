# certificate-login = off: a certificate proves nothing (PROTOCOL 2)
server implicit-tls cert-login=off
! tls usable alice
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: AUTH EXTERNAL =
S: 504 5.5.4 EXTERNAL is not offered here; those listed behind EHLO are accepted
C: MAIL FROM:<alice@example.org>
S: 530 5.7.0 Authentication required
! auth ok alice
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S: 235 2.7.0 Authenticated as alice
