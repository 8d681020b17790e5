# BDAT without BINARYMIME: a bare LF is refused as in DATA (PROTOCOL 3)
server no-login
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: RCPT TO:<bob@example.net>
S: 250 2.1.5 Recipient ok
C: BDAT 4 LAST
C- a\nb\n
S: 554 5.6.0 bare LF in line 1; send CRLF
= abort
open
