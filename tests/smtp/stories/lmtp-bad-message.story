# LMTP: a message that breaks a rule is refused for each recipient
server kind=lmtp
S: 220 mx.example.org LMTP
C: LHLO c
S~ 250 mx
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: RCPT TO:<bob@example.net>
S: 250 2.1.5 Recipient ok
C: RCPT TO:<bob@example.net>
S: 250 2.1.5 Recipient ok
C: DATA
S: 354 Send the message, end it with a line that holds a dot alone
C- a\nb\r\n.\r\n
S: 554 5.6.0 bare LF in line 1; send CRLF
S: 554 5.6.0 bare LF in line 1; send CRLF
= abort
