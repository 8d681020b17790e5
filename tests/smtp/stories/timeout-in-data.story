# Silence inside DATA: 421 4.4.2, nothing is queued
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
C: half
! expire
S: 421 4.4.2 Nothing came for too long, closing
closed
= abort
= never end
