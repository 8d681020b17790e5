# Judged again at every MAIL: the owner's 421 closes
server implicit-tls
! tls usable alice
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
! auth ok alice
! mail 421 4.7.0 login no longer valid: account disabled
C: MAIL FROM:<alice@example.org>
S: 421 4.7.0 login no longer valid: account disabled
closed
= never abort
