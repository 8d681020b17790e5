# EXTERNAL: an identity with a NUL inside is malformed (RFC 4422 A)
server implicit-tls
! tls usable alice
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: AUTH EXTERNAL YQBi
S: 501 5.5.2 Malformed EXTERNAL response; start again with AUTH
= never auth
