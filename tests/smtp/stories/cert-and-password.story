# A password login counts as the password's user even with a certificate (PROTOCOL 2)
server implicit-tls
! tls usable alice
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
! auth ok bob
C: AUTH PLAIN AGJvYgBzZWNyZXQ=
S: 235 2.7.0 Authenticated as bob
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
= user bob
