# DATA after BDAT: 503 5.5.1; RCPT too (RFC 3030 2)
server no-login
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: RCPT TO:<bob@example.net>
S: 250 2.1.5 Recipient ok
C: BDAT 2
C- \r\n
S: 250 2.0.0 2 octets received
C: DATA
S: 503 5.5.1 The message began with BDAT: go on with BDAT, or send RSET
C: RCPT TO:<c@example.net>
S: 503 5.5.1 The message began with BDAT: go on with BDAT, or send RSET
C: BDAT 0 LAST
S: 250 2.0.0 Accepted
