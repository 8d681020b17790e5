# BODY=BINARYMIME: any octet by BDAT, never by DATA (RFC 3030 3)
server no-login ext=BINARYMIME
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<alice@example.org> BODY=BINARYMIME
S: 250 2.1.0 Sender ok
C: RCPT TO:<bob@example.net>
S: 250 2.1.5 Recipient ok
C: DATA
S: 503 5.5.1 BODY=BINARYMIME needs BDAT, not DATA
C: BDAT 7 LAST
C- \r\n\0\n\r\xff\n
= end size=7 header=2 8bit-body
= message \r\n\0\n\r\xff\n
S: 250 2.0.0 Accepted
