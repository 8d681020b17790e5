# A failed AUTH (535, 534, 454) switches implicit login off until the connection ends (PROTOCOL 2)
server implicit-tls
! tls usable alice
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
! auth fail
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S: 535 5.7.8 Authentication credentials invalid
C: MAIL FROM:<alice@example.org>
S: 530 5.7.0 Authentication required
= never auth EXTERNAL
! auth ok alice
C: AUTH EXTERNAL =
S: 235 2.7.0 Authenticated as alice
