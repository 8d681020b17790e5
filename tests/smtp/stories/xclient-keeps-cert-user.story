# ... and the user it maps to: judged again with the same result changes nothing
server ext=XCLIENT implicit-tls
! tls usable alice
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: XCLIENT ADDR=192.0.2.1
S: 220 mx.example.org ESMTP
C: EHLO c
S~ 250 mx
! auth ok alice
C: AUTH EXTERNAL =
S: 235 2.7.0 Authenticated as alice
! cert usable alice
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
