# BDAT: CR at the end of one chunk and LF at the start of the next are one line end
server no-login
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: RCPT TO:<bob@example.net>
S: 250 2.1.5 Recipient ok
C: BDAT 2
C- a\r
S: 250 2.0.0 2 octets received
C: BDAT 1 LAST
C- \n
= end size=3
S: 250 2.0.0 Accepted
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: RCPT TO:<bob@example.net>
S: 250 2.1.5 Recipient ok
C: BDAT 2 LAST
C- a\r
S: 554 5.6.0 bare CR in line 1; send CRLF
