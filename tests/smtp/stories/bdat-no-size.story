# BDAT without a size: 501 and close, permitted or not (RFC 3030 2)
server no-login
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: RCPT TO:<bob@example.net>
S: 250 2.1.5 Recipient ok
C: BDAT
C: NOOP
S: 501 5.5.4 Syntax: BDAT octets [LAST]
closed
= abort
