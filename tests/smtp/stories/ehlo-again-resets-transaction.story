# EHLO again: at any time, resets the transaction (RFC 5321 4.1.4)
server
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO client.example
S~ 250 mx.example.org
! auth ok alice
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S: 235 2.7.0 Authenticated as alice
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: RCPT TO:<bob@example.net>
S: 250 2.1.5 Recipient ok
C: EHLO other.example
S~ 250 mx.example.org
= abort
C: DATA
S: 503 5.5.1 No mail transaction is open: send MAIL first
