# BDAT: everything in one piece, an empty LAST, dots are only dots (RFC 3030)
server no-login
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<a@example.org>
C: RCPT TO:<b@example.net>
C: BDAT 7
C- .\r\n.\r\nx
C: BDAT 0 LAST
C: NOOP
S: 250 2.1.0 Sender ok
S: 250 2.1.5 Recipient ok
S: 250 2.0.0 7 octets received
S: 250 2.0.0 Accepted
S: 250 2.0.0 Ok
= message .\r\n.\r\nx
