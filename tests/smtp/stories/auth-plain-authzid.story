# AUTH PLAIN with an authorization identity: both reach the owner (PROTOCOL 1)
server
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO client.example
S~ 250 mx.example.org
! auth ok bob
C: AUTH PLAIN Ym9iAGFsaWNlAHNlY3JldA==
= auth PLAIN first authzid=bob authcid=alice secret=secret
S: 235 2.7.0 Authenticated as bob
