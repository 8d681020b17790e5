# What STARTTLS keeps: our own abuse counters (PROTOCOL 1)
server clear=CRAM-MD5 auth-max=2
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
! auth fail
C: AUTH CRAM-MD5
S: 535 5.7.8 Authentication credentials invalid
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO client.example
S~ 250 mx.example.org
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S: 535 5.7.8 Authentication credentials invalid
S: 421 4.7.0 Too many failed logins, closing
closed
