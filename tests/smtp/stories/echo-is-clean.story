# No octet of the peer's below 32 or above 126 is echoed; lines are at most 512 octets (PROTOCOL 3)
server no-login
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
! mail 550 5.7.1 no\x1b[31m\xff here
C: MAIL FROM:<a@example.org>
S: 550 5.7.1 no?[31m? here
! mail 550 5.7.1 \*600x
C: MAIL FROM:<a@example.org>
S: 550 5.7.1 \*500x
