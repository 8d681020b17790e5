# AUTH lines may be longer than command lines (RFC 4954 4)
server tls=SCRAM-SHA-256
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO client.example
S~ 250 mx.example.org
! auth fail
C: AUTH SCRAM-SHA-256 \*12000A
S: 535 5.7.8 Authentication credentials invalid
