# A body line of more than 998 octets: 554 5.6.0; one of 998 is fine, its stuffed dot not counted (RFC 5322 2.1.1)
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
C: \*999x
C: .
S: 554 5.6.0 line 1 has more than 998 octets; encode the content
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: RCPT TO:<bob@example.net>
S: 250 2.1.5 Recipient ok
C: DATA
S: 354 Send the message, end it with a line that holds a dot alone
C: \*998x
C: .\*998x
C: .
S: 250 2.0.0 Accepted
