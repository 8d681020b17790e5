# a proxy that is believed says who has logged in: it counts until the next XCLIENT or STARTTLS
server ext=XCLIENT tls=PLAIN
S: 220 mx.example.org ESMTP
C: EHLO proxy.example
S~ 250 mx.example.org
! xclient ok alice
C: XCLIENT ADDR=192.0.2.1 LOGIN=alice
= xclient ADDR=192.0.2.1 LOGIN=alice
S: 220 mx.example.org ESMTP
= user alice
C: MAIL FROM:<alice@example.org>
S: 503 5.5.1 Send EHLO first
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: RSET
S: 250 2.0.0 Ok
C: XCLIENT ADDR=192.0.2.2
S: 220 mx.example.org ESMTP
= nobody
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<alice@example.org>
S: 530 5.7.0 Must issue a STARTTLS command first
! xclient ok bob
C: XCLIENT LOGIN=bob
S: 220 mx.example.org ESMTP
= user bob
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
= nobody
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<bob@example.org>
S: 530 5.7.0 Authentication required
