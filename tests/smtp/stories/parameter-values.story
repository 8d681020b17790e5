# A parameter with a value where none belongs, and without one where one does: 501 5.5.4
server no-login ext=DELIVERBY,FUTURERELEASE,MT-PRIORITY,REQUIRETLS
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<a@example.org> REQUIRETLS=yes
S: 501 5.5.4 Bad value, the form is REQUIRETLS
C: MAIL FROM:<a@example.org> BODY
S~ 501 5.5.4 Bad value
C: MAIL FROM:<a@example.org> RET
S~ 501 5.5.4 Bad value
C: MAIL FROM:<a@example.org> ENVID
S~ 501 5.5.4 Bad value
C: MAIL FROM:<a@example.org> AUTH
S~ 501 5.5.4 Bad value
C: MAIL FROM:<a@example.org> BY
S~ 501 5.5.4 Bad value
C: MAIL FROM:<a@example.org> HOLDFOR
S~ 501 5.5.4 Bad value
C: MAIL FROM:<a@example.org> HOLDUNTIL
S~ 501 5.5.4 Bad value
C: MAIL FROM:<a@example.org> MT-PRIORITY
S~ 501 5.5.4 Bad value
C: MAIL FROM:<a@example.org> REQUIRETLS BODY=8BITMIME RET=FULL AUTH=<> BY=60;N HOLDFOR=5 MT-PRIORITY=3
S: 250 2.1.0 Sender ok
= mail <a@example.org> body=8bitmime ret=full auth= by=60;N holdfor=5 priority=3 requiretls
C: RCPT TO:<b@example.net> NOTIFY
S~ 501 5.5.4 Bad value
C: RCPT TO:<b@example.net> ORCPT
S~ 501 5.5.4 Bad value
