# 8-bit header: where the owner repairs it, it is only told
server no-login 8bit-header
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: RCPT TO:<bob@example.net>
S: 250 2.1.5 Recipient ok
C: DATA
S: 354 Send the message, end it with a line that holds a dot alone
C: Subject: gr\xfcn
C:
C: .
= end size=17 header=17 8bit-header
S: 250 2.0.0 Accepted
