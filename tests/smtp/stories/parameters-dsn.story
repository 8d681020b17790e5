# DSN parameters reach the owner as given; bad ones 501 (RFC 3461)
server no-login
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<a@example.org> RET=HDRS ENVID=QQ314159+2Bx
S: 250 2.1.0 Sender ok
= mail <a@example.org> ret=hdrs envid=QQ314159+2Bx
C: RCPT TO:<b@example.net> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;Bob+40x@example.net
S: 250 2.1.5 Recipient ok
= rcpt <b@example.net> orcpt=rfc822;Bob+40x@example.net notify=14
C: RCPT TO:<b@example.net> NOTIFY=NEVER
S: 250 2.1.5 Recipient ok
= rcpt <b@example.net> notify=1
C: RCPT TO:<b@example.net> NOTIFY=NEVER,DELAY
S~ 501 5.5.4
C: RCPT TO:<b@example.net> NOTIFY=SOMETIMES
S~ 501 5.5.4
C: RCPT TO:<b@example.net> NOTIFY=
S~ 501 5.5.4
C: RCPT TO:<b@example.net> ORCPT=bob@example.net
S~ 501 5.5.4
C: RCPT TO:<b@example.net> ORCPT=rfc822;a+zz
S~ 501 5.5.4
C: RSET
S: 250 2.0.0 Ok
C: MAIL FROM:<a@example.org> RET=SOME
S~ 501 5.5.4
C: MAIL FROM:<a@example.org> ENVID=+4
S~ 501 5.5.4
