# The certificate judged again with the same result changes nothing, also after RSET and EHLO
server implicit-tls
! tls usable alice
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
! auth ok alice
C: AUTH EXTERNAL =
S: 235 2.7.0 Authenticated as alice
C: RSET
S: 250 2.0.0 Ok
C: EHLO c
S~ 250 mx
! cert usable alice
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
