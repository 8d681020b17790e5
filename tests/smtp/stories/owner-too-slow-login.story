# A login verdict that never comes is a temporary failure (RFC 4954 6)
server implicit-tls
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
! auth later
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
! expire
S: 454 4.7.0 Temporary authentication failure, try again later
open
