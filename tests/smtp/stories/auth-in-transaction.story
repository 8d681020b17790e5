# AUTH replies: in a transaction 503 5.5.1 (RFC 4954 4)
server no-login
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S: 503 5.5.1 A mail transaction is open: finish it or send RSET first
= never auth
