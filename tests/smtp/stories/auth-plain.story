# AUTH PLAIN: initial response, or an empty 334 with its blank (RFC 4954 4)
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
! auth ok alice
C: AGFsaWNlAHNlY3JldA==
= auth PLAIN first authzid= authcid=alice secret=secret
S: 235 2.7.0 Authenticated as alice
= user alice
