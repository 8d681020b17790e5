# lenient-ehlo: no parameter but SIZE and BODY, one by one (PROTOCOL 1)
server no-login lenient-ehlo ext=DELIVERBY,FUTURERELEASE,MT-PRIORITY,REQUIRETLS implicit-tls
S: 220 mx.example.org ESMTP
C: MAIL FROM:<a@example.org> RET=FULL
S: 555 5.5.4 Parameters need EHLO, you said HELO: RET
C: MAIL FROM:<a@example.org> ENVID=x
S: 555 5.5.4 Parameters need EHLO, you said HELO: ENVID
C: MAIL FROM:<a@example.org> AUTH=<>
S: 555 5.5.4 Parameters need EHLO, you said HELO: AUTH
C: MAIL FROM:<a@example.org> BY=60;N
S: 555 5.5.4 Parameters need EHLO, you said HELO: BY
C: MAIL FROM:<a@example.org> HOLDFOR=1
S: 555 5.5.4 Parameters need EHLO, you said HELO: HOLDFOR
C: MAIL FROM:<a@example.org> HOLDUNTIL=2027-01-01T00:00:00Z
S: 555 5.5.4 Parameters need EHLO, you said HELO: HOLDUNTIL
C: MAIL FROM:<a@example.org> MT-PRIORITY=1
S: 555 5.5.4 Parameters need EHLO, you said HELO: MT-PRIORITY
C: MAIL FROM:<a@example.org> REQUIRETLS
S: 555 5.5.4 Parameters need EHLO, you said HELO: REQUIRETLS
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: RCPT TO:<b@example.net> NOTIFY=NEVER
S: 555 5.5.4 Parameters need EHLO, you said HELO: NOTIFY
C: RCPT TO:<b@example.net> ORCPT=rfc822;x
S: 555 5.5.4 Parameters need EHLO, you said HELO: ORCPT
