# STARTTLS edges: in a transaction 503 5.5.1 (PROTOCOL 1)
server no-login
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: STARTTLS
S: 503 5.5.1 A mail transaction is open: finish it or send RSET first
C: RSET
S: 250 2.0.0 Ok
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
