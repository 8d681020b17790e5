# A login whose certificate stopped to count ends at the next MAIL, whatever is said before it: RSET and EHLO heal nothing
server implicit-tls
! tls usable alice
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
! auth ok alice
C: AUTH EXTERNAL =
S: 235 2.7.0 Authenticated as alice
! cert unusable certificate revoked
C: RSET
S: 250 2.0.0 Ok
C: EHLO c
S~ 250 mx
C: MAIL FROM:<alice@example.org>
S: 421 4.7.0 login no longer valid: certificate revoked
closed
