# STARTTLS edges: an argument is 501 5.5.4; a trailing blank is none (RFC 3207 4)
server
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS now
S: 501 5.5.4 Syntax: STARTTLS
C: STARTTLS\s
S: 220 2.0.0 Ready to start TLS
