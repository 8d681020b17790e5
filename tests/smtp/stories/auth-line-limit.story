# AUTH lines of 12288 octets with CRLF are read (and this one is no base64), one octet more is 500 5.5.6 (RFC 4954 4)
server
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO client.example
S~ 250 mx.example.org
C: AUTH PLAIN
S: 334\s
C: \*12286A
S~ 501 5.5.2
C: AUTH PLAIN
S: 334\s
C: \*12287A
S: 500 5.5.6 Authentication line too long; the most is 12288 octets
C: NOOP
S: 250 2.0.0 Ok
