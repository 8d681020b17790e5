# Over SIZE while reading: octets are read, then 552 5.3.4 (RFC 1870 6.3)
server no-login size=10
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: RCPT TO:<bob@example.net>
S: 250 2.1.5 Recipient ok
C: DATA
S: 354 Send the message, end it with a line that holds a dot alone
C: 0123456789
C: MAIL FROM:<x@example.org>
C: .
S: 552 5.3.4 Message too big: the most is 10 octets
= abort
open
