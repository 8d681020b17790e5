# BDAT: chunks with their replies, the last one ends the message (RFC 3030 2)
server no-login
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: RCPT TO:<bob@example.net>
S: 250 2.1.5 Recipient ok
C: BDAT 12
C- Subject: x\r\n
S: 250 2.0.0 12 octets received
C: BDAT 6 LAST
C- \r\nhi\r\n
= bdat
= end size=18 header=14
= message Subject: x\r\n\r\nhi\r\n
S: 250 2.0.0 Accepted
