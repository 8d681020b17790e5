# VRFY 252, EXPN 502 5.5.1, HELP 214, NOOP with anything (PROTOCOL 3)
server no-login
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: VRFY bob
= vrfy bob
S: 252 2.0.0 Cannot verify, but will accept a message and try
C: VRFY
S: 501 5.5.4 Syntax: VRFY user@example.org
! vrfy 550 5.1.1 no such user
C: VRFY nobody
S: 550 5.1.1 no such user
C: EXPN staff
S: 502 5.5.1 EXPN is not implemented here
C: ETRN x
S: 502 5.5.1 ETRN is not implemented here
C: NOOP what ever
S: 250 2.0.0 Ok
C: HELP MAIL
S~ 214 2.0.0
C: XCLIENT ADDR=1.2.3.4
S: 502 5.5.1 XCLIENT is not implemented here
C: DATA x
S: 503 5.5.1 No mail transaction is open: send MAIL first
C: RSET x
S: 501 5.5.4 Syntax: RSET
C: QUIT x
S: 501 5.5.4 Syntax: QUIT
open
