# A refusal while the message comes is kept: the rest is read, it is the reply at the end
server no-login
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: RCPT TO:<bob@example.net>
S: 250 2.1.5 Recipient ok
C: DATA
S: 354 Send the message, end it with a line that holds a dot alone
! body 452 4.3.1 disk full
C: Subject: x
C:
C: NOOP
C: .
S: 452 4.3.1 disk full
= abort
= never end
open
