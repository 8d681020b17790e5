# A local socket: the identity is the socket's, no TLS, no AUTH
server kind=local
S: 220 mx.example.org ESMTP
= user local-user
C: EHLO c
S~ 250 mx
C: STARTTLS
S: 502 5.5.1 STARTTLS is not implemented here
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S: 502 5.5.1 AUTH is not implemented here
C: MAIL FROM:<root>
S: 250 2.1.0 Sender ok
C: RCPT TO:<bob>
S: 250 2.1.5 Recipient ok
