# The certificate now names another user: the login made with it ends at the next MAIL
server implicit-tls
! tls usable alice
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
! auth ok alice
C: AUTH EXTERNAL =
S: 235 2.7.0 Authenticated as alice
! cert usable bob
C: MAIL FROM:<alice@example.org>
S: 421 4.7.0 login no longer valid: the certificate names another user now
closed
