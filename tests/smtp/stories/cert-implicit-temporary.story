# Implicit login: a temporary failure stays one (454), and counts as failed
server implicit-tls
! tls usable alice
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
! auth temporary
C: MAIL FROM:<alice@example.org>
S: 454 4.7.0 Temporary authentication failure, try again later
C: MAIL FROM:<alice@example.org>
S: 530 5.7.0 Authentication required
