# AUTH replies: a second AUTH, or one in a transaction, is 503 5.5.1 (RFC 4954 4)
server
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO client.example
S~ 250 mx.example.org
! auth ok alice
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S: 235 2.7.0 Authenticated as alice
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S: 503 5.5.1 Already authenticated as alice
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S: 503 5.5.1 Already authenticated as alice
