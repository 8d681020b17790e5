# A cancelled or malformed AUTH does not switch implicit login off (PROTOCOL 2)
server implicit-tls
! tls usable alice
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: AUTH PLAIN
S: 334\s
C: *
S: 501 5.7.0 Authentication cancelled
C: AUTH PLAIN !!!!
S~ 501 5.5.2
C: AUTH FOO
S~ 504 5.5.4
! auth ok alice
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
