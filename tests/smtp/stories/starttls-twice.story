# STARTTLS edges: inside TLS not listed, and 503 5.5.1 (RFC 3207 4.2)
server
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO client.example
S: 250-mx.example.org
S: 250-PIPELINING
S: 250-SIZE 1000000
S: 250-8BITMIME
S: 250-SMTPUTF8
S: 250-DSN
S: 250-ENHANCEDSTATUSCODES
S: 250-CHUNKING
S: 250-LIMITS RCPTMAX=500
S: 250 AUTH SCRAM-SHA-256 PLAIN LOGIN
C: STARTTLS
S: 503 5.5.1 TLS is active already
