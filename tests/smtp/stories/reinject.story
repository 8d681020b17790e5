# Reinjection: a content filter gives mail back, XFORWARD where offered
server kind=reinject ext=XFORWARD
S: 220 mx.example.org ESMTP
C: EHLO c
S: 250-mx.example.org
S: 250-PIPELINING
S: 250-SIZE 1000000
S: 250-8BITMIME
S: 250-SMTPUTF8
S: 250-DSN
S: 250-ENHANCEDSTATUSCODES
S: 250-CHUNKING
S: 250-LIMITS RCPTMAX=500
S: 250 XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE
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
