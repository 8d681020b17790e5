# AUTH replies: unknown 504 5.5.4, none at all 501 5.5.4 (RFC 4954 4)
server
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO client.example
S~ 250 mx.example.org
C: AUTH DIGEST-MD5
S: 504 5.5.4 Unknown mechanism; those listed behind EHLO are accepted
C: AUTH
S: 501 5.5.4 Syntax: AUTH mechanism [initial-response]
C: AUTH GSSAPI
S: 504 5.5.4 GSSAPI is not offered here; those listed behind EHLO are accepted
