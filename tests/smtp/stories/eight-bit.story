# 8-bit: in the body accepted and marked; in the header without SMTPUTF8 554 5.6.7; with it fine (PROTOCOL 3)
server no-login
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: RCPT TO:<bob@example.net>
S: 250 2.1.5 Recipient ok
C: DATA
S: 354 Send the message, end it with a line that holds a dot alone
C: Subject: x
C:
C: gr\xc3\xbcn
C: .
= end size=21 header=14 8bit-body
S: 250 2.0.0 Accepted
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: RCPT TO:<bob@example.net>
S: 250 2.1.5 Recipient ok
C: DATA
S: 354 Send the message, end it with a line that holds a dot alone
C: Subject: gr\xc3\xbcn
C:
C: .
S: 554 5.6.7 The header is not ASCII: MAIL must carry SMTPUTF8, or encode it (RFC 2047)
= abort
C: MAIL FROM:<alice@example.org> SMTPUTF8
S: 250 2.1.0 Sender ok
C: RCPT TO:<bob@example.net>
S: 250 2.1.5 Recipient ok
C: DATA
S: 354 Send the message, end it with a line that holds a dot alone
C: Subject: gr\xc3\xbcn
C:
C: .
= end size=18 header=18 8bit-header
S: 250 2.0.0 Accepted
