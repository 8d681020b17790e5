# A verb without what it needs: 501 5.5.4 with the form (RFC 5321 4.3.2)
server no-login ext=XCLIENT,XFORWARD
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL
S: 501 5.5.4 Syntax: MAIL FROM:<user@example.org>
C: AUTH
S~ 530
C: XCLIENT
S: 501 5.5.4 Syntax: XCLIENT name=value ...
C: XFORWARD
S: 501 5.5.4 Syntax: XFORWARD name=value ...
C: LHLO c
S~ 500 5.5.2
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: RCPT
S: 501 5.5.4 Syntax: RCPT TO:<user@example.org>
C: RCPT TO:<bob@example.net>
S: 250 2.1.5 Recipient ok
C: DATA x
S: 501 5.5.4 Syntax: DATA
C: DATA
S: 354 Send the message, end it with a line that holds a dot alone
C: .
S: 250 2.0.0 Accepted
