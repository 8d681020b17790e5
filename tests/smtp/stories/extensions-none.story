# What the policy has not is neither listed nor permitted; CHUNKING off: BDAT is 502 and its octets are read
server no-login no-ext=PIPELINING,SIZE,8BITMIME,SMTPUTF8,DSN,CHUNKING,LIMITS
S: 220 mx.example.org ESMTP
C: EHLO c
S: 250-mx.example.org
S: 250-ENHANCEDSTATUSCODES
S: 250 STARTTLS
C: MAIL FROM:<a@example.org> SIZE=1
S: 555 5.5.4 Parameter not recognized or not offered: SIZE
C: MAIL FROM:<a@example.org> BODY=7BIT
S: 555 5.5.4 Parameter not recognized or not offered: BODY
C: MAIL FROM:<a@example.org> SMTPUTF8
S: 555 5.5.4 Parameter not recognized or not offered: SMTPUTF8
C: MAIL FROM:<a@example.org> RET=FULL
S: 555 5.5.4 Parameter not recognized or not offered: RET
C: MAIL FROM:<a@example.org> ENVID=x
S: 555 5.5.4 Parameter not recognized or not offered: ENVID
C: MAIL FROM:<a@example.org> HOLDFOR=1
S: 555 5.5.4 Parameter not recognized or not offered: HOLDFOR
C: MAIL FROM:<a@example.org> HOLDUNTIL=2027-01-01T00:00:00Z
S: 555 5.5.4 Parameter not recognized or not offered: HOLDUNTIL
C: MAIL FROM:<a@example.org> MT-PRIORITY=1
S: 555 5.5.4 Parameter not recognized or not offered: MT-PRIORITY
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: RCPT TO:<bob@example.net> NOTIFY=NEVER
S: 555 5.5.4 Parameter not recognized or not offered: NOTIFY
C: RCPT TO:<bob@example.net> ORCPT=rfc822;x
S: 555 5.5.4 Parameter not recognized or not offered: ORCPT
C: RCPT TO:<bob@example.net>
S: 250 2.1.5 Recipient ok
C: BDAT 6 LAST
C- NOOP\r\n
S: 502 5.5.1 BDAT is not implemented here
