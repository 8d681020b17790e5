# Judged again at every MAIL: 421 4.7.0 login no longer valid, close (PROTOCOL 2)
server implicit-tls
! tls usable alice
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
! auth ok alice
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: RSET
S: 250 2.0.0 Ok
! cert unusable certificate revoked
C: NOOP
S: 250 2.0.0 Ok
C: MAIL FROM:<alice@example.org>
S: 421 4.7.0 login no longer valid: certificate revoked
closed
