# EXTERNAL: bare, a trailing blank, then an empty 334 answered by an empty line, "=" or an identity (PROTOCOL 2)
server implicit-tls auth-max=9
! tls usable alice
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: AUTH EXTERNAL
S: 334\s
! auth fail
C:
= auth EXTERNAL first authzid= authcid=
S: 535 5.7.8 Authentication credentials invalid
C: AUTH EXTERNAL\s
S: 334\s
! auth fail
C: =
= auth EXTERNAL first authzid= authcid=
S: 535 5.7.8 Authentication credentials invalid
C: auth external
S: 334\s
! auth ok alice
C: YWxpY2VAZXhhbXBsZS5vcmc=
= auth EXTERNAL first authzid=alice@example.org
S: 235 2.7.0 Authenticated as alice
