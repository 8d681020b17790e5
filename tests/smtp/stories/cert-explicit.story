# certificate-login = explicit: nothing counts until EXTERNAL is said (PROTOCOL 2, options 1 and 3)
server implicit-tls cert-login=explicit
! tls usable alice
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<alice@example.org>
S: 530 5.7.0 Authentication required
= never auth
! auth ok alice
C: AUTH EXTERNAL =
S: 235 2.7.0 Authenticated as alice
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
