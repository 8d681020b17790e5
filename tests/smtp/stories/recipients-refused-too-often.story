# Refused recipients are commands without progress: in the end 421 (PROTOCOL 1, error limits)
server no-login idle-max=3
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
! rcpt 550 5.1.1 unknown
C: RCPT TO:<a@example.net>
S: 550 5.1.1 unknown
! rcpt 550 5.1.1 unknown
C: RCPT TO:<b@example.net>
S: 421 4.7.0 Too many commands without a message, closing
closed
= abort
