# A password login does not rest on the certificate: its end changes nothing
server implicit-tls
! tls usable alice
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
! auth ok alice
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S: 235 2.7.0 Authenticated as alice
! cert unusable certificate revoked
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
