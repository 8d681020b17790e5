# Recipients over the limit: 452 4.5.3, in a pipelined group too (RFC 5321 4.5.3.1.10)
server no-login rcpt-max=2
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
! rcpt accept
! rcpt 550 5.1.1 unknown
! rcpt accept
C: RCPT TO:<a@example.net>
C: RCPT TO:<b@example.net>
C: RCPT TO:<c@example.net>
C: RCPT TO:<d@example.net>
C: RCPT TO:<e@example.net>
S: 250 2.1.5 Recipient ok
S: 550 5.1.1 unknown
S: 250 2.1.5 Recipient ok
S: 452 4.5.3 Too many recipients: send these now and the others in another message
S: 452 4.5.3 Too many recipients: send these now and the others in another message
