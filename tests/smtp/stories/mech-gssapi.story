# GSSAPI: the client speaks first, an empty answer is a token, no data comes with success (RFC 4752 3.1)
server implicit-tls tls=GSSAPI,PLAIN
S: 220 mx.example.org ESMTP
C: EHLO c
S~ 250 mx.example.org
! auth challenge reply
! auth challenge layers
! auth ok alice
C: AUTH GSSAPI dGlja2V0
= auth GSSAPI first authzid= authcid= secret= token=ticket
S: 334 cmVwbHk=
C:
= auth GSSAPI authzid= authcid= secret= token=
S: 334 bGF5ZXJz
= nobody
C: Y2hvaWNl
= auth GSSAPI authzid= authcid= secret= token=choice
S: 235 2.7.0 Authenticated as alice
= user alice
