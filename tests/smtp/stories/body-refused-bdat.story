# ... and with BDAT at the end of its chunk
server no-login
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: RCPT TO:<bob@example.net>
S: 250 2.1.5 Recipient ok
! body 452 4.3.1 disk full
C: BDAT 5
C- abcde
S: 452 4.3.1 disk full
= abort
open
