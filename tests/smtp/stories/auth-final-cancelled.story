# Data that came with success: only the client's empty answer makes the login (RFC 4954 4)
server
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO client.example
S~ 250 mx.example.org
! auth ok alice v=x
C: AUTH SCRAM-SHA-256 bg==
S: 334 dj14
C: *
S: 501 5.7.0 Authentication cancelled
= auth-end
= nobody
C: MAIL FROM:<alice@example.org>
S: 530 5.7.0 Authentication required
