# Reinjection: a content filter gives mail back, XFORWARD where offered
server kind=reinject ext=XFORWARD
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: XFORWARD NAME=client.example ADDR=192.0.2.1
= xforward NAME=client.example ADDR=192.0.2.1
S: 250 2.0.0 Ok
C: MAIL FROM:<>
S: 250 2.1.0 Sender ok
C: RCPT TO:<bob@example.net>
S: 250 2.1.5 Recipient ok
C: DATA
S: 354 Send the message, end it with a line that holds a dot alone
C: .
S: 250 2.0.0 Accepted
