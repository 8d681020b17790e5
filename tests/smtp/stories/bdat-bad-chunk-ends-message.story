# BDAT: after a refused chunk the message is lost, later chunks are read and refused (RFC 3030 2)
server no-login
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: RCPT TO:<bob@example.net>
S: 250 2.1.5 Recipient ok
C: BDAT 2
C- \nx
C: BDAT 3 LAST
C- abc
S: 554 5.6.0 bare LF in line 1; send CRLF
S: 503 5.5.1 No mail transaction is open: send MAIL first
