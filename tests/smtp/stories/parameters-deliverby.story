# DELIVERBY: seconds and mode; R needs time left and at least the minimum (RFC 2852)
server no-login ext=DELIVERBY by-min=60
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<a@example.org> BY=120;RT
S: 250 2.1.0 Sender ok
= mail <a@example.org> by=120;RT
C: RSET
S: 250 2.0.0 Ok
C: MAIL FROM:<a@example.org> BY=-5;N
S: 250 2.1.0 Sender ok
= mail <a@example.org> by=-5;N
C: RSET
S: 250 2.0.0 Ok
C: MAIL FROM:<a@example.org> BY=0;R
S~ 501 5.5.4
C: MAIL FROM:<a@example.org> BY=59;R
S: 555 5.5.4 BY asks for less than this server can keep: 60 seconds
C: MAIL FROM:<a@example.org> BY=1234567890;R
S~ 501 5.5.4
C: MAIL FROM:<a@example.org> BY=12;X
S~ 501 5.5.4
C: MAIL FROM:<a@example.org> BY=12
S~ 501 5.5.4
