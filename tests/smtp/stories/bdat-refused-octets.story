# A refused BDAT still reads its octets: they are never commands (RFC 3030 2)
server no-login
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: BDAT 6
C- NOOP\r\n
S: 503 5.5.1 No mail transaction is open: send MAIL first
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: BDAT 6 LAST
C- NOOP\r\n
S: 554 5.5.1 No valid recipients: send RCPT first
