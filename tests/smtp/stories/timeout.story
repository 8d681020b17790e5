# Idle: 421 4.4.2, close; an open transaction is aborted (PROTOCOL 3)
server no-login
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
! expire
S: 421 4.4.2 Nothing came for too long, closing
closed
= abort
