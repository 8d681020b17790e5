# ... pipelined as one by one: the reply that is too many is the 421, in every chunk size
server no-login idle-max=3
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
! rcpt 550 5.1.1 unknown
! rcpt accept
! rcpt 550 5.1.1 unknown
C: RCPT TO:<a@example.net>
C: RCPT TO:<b@example.net>
C: RCPT TO:<c@example.net>
C: RCPT TO:<d@example.net>
S: 550 5.1.1 unknown
S: 250 2.1.5 Recipient ok
S: 421 4.7.0 Too many commands without a message, closing
closed
