# DATA without an accepted recipient: 554 5.5.1 and no 354; without MAIL 503 (RFC 2920 3.1)
server no-login
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: DATA
S: 503 5.5.1 No mail transaction is open: send MAIL first
! rcpt 550 5.1.1 unknown
C: MAIL FROM:<alice@example.org>
C: RCPT TO:<x@example.net>
C: DATA
S: 250 2.1.0 Sender ok
S: 550 5.1.1 unknown
S: 554 5.5.1 No valid recipients: send RCPT first
= never data
