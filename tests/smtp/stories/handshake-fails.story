# Handshake fails: the session is closed, never continued in clear (RFC 3207 4.1)
server
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
! tls fail
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
= handshake
closed
