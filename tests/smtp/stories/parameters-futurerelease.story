# FUTURERELEASE: HOLDFOR within the limit, HOLDUNTIL a date, never both (RFC 4865)
server no-login ext=FUTURERELEASE hold-max=3600
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<a@example.org> HOLDFOR=3600
S: 250 2.1.0 Sender ok
= mail <a@example.org> holdfor=3600
C: RSET
S: 250 2.0.0 Ok
C: MAIL FROM:<a@example.org> HOLDUNTIL=2027-01-01T00:00:00Z
S: 250 2.1.0 Sender ok
= mail <a@example.org> holduntil=1798761600
C: RSET
S: 250 2.0.0 Ok
C: MAIL FROM:<a@example.org> HOLDFOR=3601
S: 501 5.5.4 Held for too long: the most is 3600 seconds
C: MAIL FROM:<a@example.org> HOLDFOR=1 HOLDUNTIL=2027-01-01T00:00:00Z
S: 501 5.5.4 Parameter given twice: HOLDFOR and HOLDUNTIL
C: MAIL FROM:<a@example.org> HOLDUNTIL=2027-02-29T00:00:00Z
S~ 501 5.5.4
