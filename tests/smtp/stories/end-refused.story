# The message refused at its end: the owner's reply; the session goes on
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
! end 554 5.6.0 two From fields
C: From: a@example.org
C: .
S: 554 5.6.0 two From fields
= never abort
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
