# 8-bit in the envelope without SMTPUTF8: 553 5.6.7; invalid UTF-8 is syntax (RFC 6531 3.5)
server no-login
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<j\xc3\xbcrgen@example.org>
S: 553 5.6.7 The address is not ASCII: MAIL must carry SMTPUTF8
C: MAIL FROM:<j\xfcrgen@example.org> SMTPUTF8
S~ 501 5.1.7
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: RCPT TO:<b@b\xc3\xbccher.example>
S: 553 5.6.7 The address is not ASCII: MAIL must carry SMTPUTF8
C: RSET
S: 250 2.0.0 Ok
C: MAIL FROM:<j\xc3\xbcrgen@example.org> SMTPUTF8
S: 250 2.1.0 Sender ok
C: RCPT TO:<b@b\xc3\xbccher.example>
S: 250 2.1.5 Recipient ok
