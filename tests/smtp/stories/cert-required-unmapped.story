# client-certificates = required: verified but not mapped is enough for a password login (PROTOCOL 2)
server certs=required
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
! tls unusable verified no account for this certificate
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO client.example
S~ 250 mx.example.org
C: AUTH EXTERNAL =
S: 504 5.5.4 EXTERNAL not available: no account for this certificate
! auth ok alice
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S: 235 2.7.0 Authenticated as alice
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
