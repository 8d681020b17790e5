# AUTH replies: line too long 500 5.5.6, swallowed to CRLF, one reply (RFC 4954 4)
server
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO client.example
S~ 250 mx.example.org
C: AUTH PLAIN \*13000A
S: 500 5.5.6 Authentication line too long; the most is 12288 octets
C: AUTH PLAIN
S: 334\s
C: \*20000A
S: 500 5.5.6 Authentication line too long; the most is 12288 octets
C: NOOP
S: 250 2.0.0 Ok
