# XCLIENT where offered: the session starts anew (Postfix XCLIENT_README)
server ext=XCLIENT no-login
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: XCLIENT ADDR=192.0.2.1 LOGIN=alice
= xclient ADDR=192.0.2.1 LOGIN=alice
S: 220 mx.example.org ESMTP
C: MAIL FROM:<>
S: 503 5.5.1 Send EHLO first
C: EHLO c
S~ 250 mx
! xclient 550 5.7.0 not you
C: XCLIENT ADDR=192.0.2.2
S: 550 5.7.0 not you
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: XCLIENT ADDR=192.0.2.1
S: 503 5.5.1 A mail transaction is open: finish it or send RSET first
