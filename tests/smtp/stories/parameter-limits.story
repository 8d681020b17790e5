# Each parameter at its limit and one beyond it: SIZE, ENVID, BY, HOLDFOR, MT-PRIORITY, AUTH, ORCPT, addresses
server no-login ext=DELIVERBY,FUTURERELEASE,MT-PRIORITY size=0 by-min=60 hold-max=999999999 tls=PLAIN
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
# RFC 1870 5: 1*20DIGIT
C: MAIL FROM:<a@example.org> SIZE=00000000000000000001
S: 250 2.1.0 Sender ok
= mail <a@example.org> size=1
C: RSET
S: 250 2.0.0 Ok
C: MAIL FROM:<a@example.org> SIZE=000000000000000000001
S~ 501 5.5.4 Bad value
C: MAIL FROM:<a@example.org> SIZE=18446744073709551615
S: 250 2.1.0 Sender ok
= mail <a@example.org> size=18446744073709551615
C: RSET
S: 250 2.0.0 Ok
C: MAIL FROM:<a@example.org> SIZE=18446744073709551616
S~ 501 5.5.4 Bad value
# RFC 3461 4.4: 100 octets
C: MAIL FROM:<a@example.org> ENVID=\*100x
S: 250 2.1.0 Sender ok
C: RSET
S: 250 2.0.0 Ok
C: MAIL FROM:<a@example.org> ENVID=\*101x
S~ 501 5.5.4 Bad value
# RFC 2852 4: nine digits, either sign; deliver-by-min for R alone
C: MAIL FROM:<a@example.org> BY=999999999;N
S: 250 2.1.0 Sender ok
= mail <a@example.org> by=999999999;N
C: RSET
S: 250 2.0.0 Ok
C: MAIL FROM:<a@example.org> BY=1000000000;N
S~ 501 5.5.4 Bad value
C: MAIL FROM:<a@example.org> BY=-999999999;N
S: 250 2.1.0 Sender ok
= mail <a@example.org> by=-999999999;N
C: RSET
S: 250 2.0.0 Ok
C: MAIL FROM:<a@example.org> BY=-1000000000;N
S~ 501 5.5.4 Bad value
C: MAIL FROM:<a@example.org> BY=+60;R
S: 250 2.1.0 Sender ok
= mail <a@example.org> by=60;R
C: RSET
S: 250 2.0.0 Ok
C: MAIL FROM:<a@example.org> BY=+-60;R
S~ 501 5.5.4 Bad value
C: MAIL FROM:<a@example.org> BY=60;R
S: 250 2.1.0 Sender ok
= mail <a@example.org> by=60;R
C: RSET
S: 250 2.0.0 Ok
C: MAIL FROM:<a@example.org> BY=59;R
S~ 555 5.5.4 BY asks for less than this server can keep: 60 seconds
C: MAIL FROM:<a@example.org> BY=59;N
S: 250 2.1.0 Sender ok
= mail <a@example.org> by=59;N
C: RSET
S: 250 2.0.0 Ok
C: MAIL FROM:<a@example.org> BY=0;N
S: 250 2.1.0 Sender ok
= mail <a@example.org> by=0;N
C: RSET
S: 250 2.0.0 Ok
C: MAIL FROM:<a@example.org> BY=60;RTT
S~ 501 5.5.4 Bad value
# RFC 4865 4: nine digits
C: MAIL FROM:<a@example.org> HOLDFOR=999999999
S: 250 2.1.0 Sender ok
= mail <a@example.org> holdfor=999999999
C: RSET
S: 250 2.0.0 Ok
C: MAIL FROM:<a@example.org> HOLDFOR=1000000000
S~ 501 5.5.4 Bad value
# RFC 6710 4: -9 to 9
C: MAIL FROM:<a@example.org> MT-PRIORITY=9
S: 250 2.1.0 Sender ok
= mail <a@example.org> priority=9
C: RSET
S: 250 2.0.0 Ok
C: MAIL FROM:<a@example.org> MT-PRIORITY=10
S~ 501 5.5.4 Bad value
C: MAIL FROM:<a@example.org> MT-PRIORITY=-9
S: 250 2.1.0 Sender ok
= mail <a@example.org> priority=-9
C: RSET
S: 250 2.0.0 Ok
C: MAIL FROM:<a@example.org> MT-PRIORITY=-10
S~ 501 5.5.4 Bad value
C: MAIL FROM:<a@example.org> MT-PRIORITY=0
S: 250 2.1.0 Sender ok
= mail <a@example.org> priority=0
C: RSET
S: 250 2.0.0 Ok
# RFC 3461 4.2: 500 octets with the type
C: MAIL FROM:<a@example.org>
S: 250 2.1.0 Sender ok
C: RCPT TO:<b@example.net> ORCPT=rfc822;\*493x
S: 250 2.1.5 Recipient ok
C: RCPT TO:<b@example.net> ORCPT=rfc822;\*494x
S~ 501 5.5.4 Bad value
C: RCPT TO:<b@example.net> NOTIFY=SUCCESS,FAILURE,DELAY
S: 250 2.1.5 Recipient ok
C: RCPT TO:<b@example.net> NOTIFY=SUCCESS,FAILURE,DELAY,DELAY
S~ 501 5.5.4 Bad value
# a local part of 256, a domain of 255
C: RCPT TO:<\*256x@example.net>
S: 250 2.1.5 Recipient ok
C: RCPT TO:<\*257x@example.net>
S~ 501 5.1.3
C: RCPT TO:<b@\*63x.\*63x.\*63x.\*63x>
S: 250 2.1.5 Recipient ok
C: RCPT TO:<b@\*63x.\*63x.\*63x.\*62x.x>
S~ 501 5.1.3
C: RCPT TO:<b@\*63x.net>
S: 250 2.1.5 Recipient ok
C: RCPT TO:<b@\*64x.net>
S~ 501 5.1.3
C: RSET
S: 250 2.0.0 Ok
# a name in EHLO of 255
C: EHLO \*63x.\*63x.\*63x.\*63x
S~ 250 mx.example.org
C: EHLO \*63x.\*63x.\*63x.\*62x.x
S~ 501 5.5.4
