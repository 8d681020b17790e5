# AUTH replies: an initial response to a server-first mechanism is 501 5.7.0 (RFC 4954 4)
server tls=CRAM-MD5
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO client.example
S~ 250 mx.example.org
C: AUTH CRAM-MD5 YWxpY2U=
S: 501 5.7.0 CRAM-MD5 takes no initial response: send AUTH without one
= never auth
