# EXTERNAL with the identity as initial response (RFC 4422 A)
server implicit-tls
! tls usable alice
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
! auth ok alice
C: AUTH EXTERNAL YWxpY2VAZXhhbXBsZS5vcmc=
= auth EXTERNAL first authzid=alice@example.org
S: 235 2.7.0 Authenticated as alice
