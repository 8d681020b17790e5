# MAIL in a transaction: 503 5.5.1 (RFC 5321 4.1.4)
server no-login
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: MAIL FROM:<b@example.org>
S: 503 5.5.1 A mail transaction is open: finish it or send RSET first
C: RCPT TO:<bob@example.net>
S: 250 2.1.5 Recipient ok
