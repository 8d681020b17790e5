# Every reply within 120 s, else 451 4.3.0 and nothing queued; the session goes on (PROTOCOL 3)
server no-login
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
! mail later
C: MAIL FROM:<alice@example.org>
! expire
S: 451 4.3.0 We did not finish in time; nothing was queued, try again later
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: RCPT TO:<bob@example.net>
S: 250 2.1.5 Recipient ok
C: DATA
S: 354 Send the message, end it with a line that holds a dot alone
! end later
C: .
! expire
S: 451 4.3.0 We did not finish in time; nothing was queued, try again later
= never abort
open
