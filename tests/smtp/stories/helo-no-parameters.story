# HELO: no parameters, 555 5.5.4 (PROTOCOL 3)
server no-login
S: 220 mx.example.org ESMTP
C: HELO c
S: 250 mx.example.org
C: MAIL FROM:<alice@example.org> SIZE=10
S: 555 5.5.4 Parameters need EHLO, you said HELO: SIZE
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: RCPT TO:<bob@example.net> NOTIFY=NEVER
S: 555 5.5.4 Parameters need EHLO, you said HELO: NOTIFY
C: BDAT 1 LAST
C- x
S: 503 5.5.1 BDAT needs EHLO, you said HELO: send EHLO
