# Over SIZE: 552 5.3.4 at MAIL; numbers are decimal digits in range, else 501 (RFC 1870)
server no-login size=1000
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<a@example.org> SIZE=1001
S: 552 5.3.4 Message too big: the most is 1000 octets
C: MAIL FROM:<a@example.org> SIZE=-1
S: 501 5.5.4 Bad value, the form is SIZE=octets
C: MAIL FROM:<a@example.org> SIZE=99999999999999999999999
S: 501 5.5.4 Bad value, the form is SIZE=octets
C: MAIL FROM:<a@example.org> SIZE=0x10
S: 501 5.5.4 Bad value, the form is SIZE=octets
C: MAIL FROM:<a@example.org> SIZE
S: 501 5.5.4 Bad value, the form is SIZE=octets
C: MAIL FROM:<a@example.org> SIZE=1000
S: 250 2.1.0 Sender ok
