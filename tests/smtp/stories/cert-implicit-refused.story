# Implicit login refused: the client hears 530 and can still send a password; it is not tried again
server implicit-tls
! tls usable alice
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
! auth fail
C: MAIL FROM:<alice@example.org>
S: 530 5.7.0 Authentication required
= never mail
= never abort
C: MAIL FROM:<alice@example.org>
S: 530 5.7.0 Authentication required
! auth ok alice
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S: 235 2.7.0 Authenticated as alice
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
