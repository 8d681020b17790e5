# Lines behind a failed AUTH are commands, never credentials (PROTOCOL 3)
server
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO client.example
S~ 250 mx.example.org
! auth fail
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
C: AGFsaWNlAHNlY3JldA==
C: NOOP
S: 535 5.7.8 Authentication credentials invalid
S: 500 5.5.2 Command not recognized; HELP lists those that are
S: 250 2.0.0 Ok
