# -PLUS is listed and accepted only with a channel binding (PROTOCOL 1)
server tls=SCRAM-SHA-256-PLUS,SCRAM-SHA-256
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO client.example
S~ 250 mx.example.org
C: AUTH SCRAM-SHA-256-PLUS
S: 504 5.5.4 SCRAM-SHA-256-PLUS is not available: this TLS connection has no channel binding
