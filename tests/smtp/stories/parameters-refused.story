# Parameters: unknown or not offered 555 5.5.4, twice 501 5.5.4, without blank 501 (RFC 5321 4.1.1.11)
server no-login
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<a@example.org> FOO=bar
S: 555 5.5.4 Parameter not recognized or not offered: FOO
C: MAIL FROM:<a@example.org> REQUIRETLS
S: 555 5.5.4 Parameter not recognized or not offered: REQUIRETLS
C: MAIL FROM:<a@example.org> BY=100;R
S: 555 5.5.4 Parameter not recognized or not offered: BY
C: MAIL FROM:<a@example.org> AUTH=<>
S: 555 5.5.4 Parameter not recognized or not offered: AUTH
C: MAIL FROM:<a@example.org> SIZE=1 SIZE=2
S: 501 5.5.4 Parameter given twice: SIZE
C: MAIL FROM:<a@example.org>SIZE=1
S~ 501 5.1.7
C: MAIL FROM:<a@example.org> SMTPUTF8=yes
S: 501 5.5.4 Bad value, the form is SMTPUTF8
C: MAIL FROM:<a@example.org> BODY=BINARYMIME
S: 501 5.5.4 Bad value, the form is BODY=7BIT, 8BITMIME or BINARYMIME where offered
C: MAIL FROM:<a@example.org> =x
S~ 501 5.5.4 Syntax: parameters
C: MAIL FROM:<a@example.org> NOTIFY=NEVER
S: 555 5.5.4 Parameter not recognized or not offered: NOTIFY
