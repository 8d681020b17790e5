# LMTP: LHLO, one reply for each accepted recipient (RFC 2033)
server kind=lmtp
S: 220 mx.example.org LMTP
C: EHLO c
S~ 500 5.5.2
C: LHLO c
S: 250-mx.example.org
S: 250-PIPELINING
S: 250-SIZE 1000000
S: 250-8BITMIME
S: 250-SMTPUTF8
S: 250-DSN
S: 250-ENHANCEDSTATUSCODES
S: 250-CHUNKING
S: 250 LIMITS RCPTMAX=500
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
! rcpt accept
! rcpt 550 5.1.1 unknown
! rcpt accept
C: RCPT TO:<a@example.net>
C: RCPT TO:<b@example.net>
C: RCPT TO:<c@example.net>
S: 250 2.1.5 Recipient ok
S: 550 5.1.1 unknown
S: 250 2.1.5 Recipient ok
C: DATA
S: 354 Send the message, end it with a line that holds a dot alone
! end 452 4.2.2 over quota
C: x
C: .
S: 452 4.2.2 over quota
S: 452 4.2.2 over quota
C: DATA
S: 503 5.5.1 No mail transaction is open: send MAIL first
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: DATA
S: 503 5.5.1 No valid recipients: send RCPT first
