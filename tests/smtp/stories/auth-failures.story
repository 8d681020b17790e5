# AUTH replies: failed 535 5.7.8, too weak 534 5.7.9, temporary 454 4.7.0; the third failure closes (PROTOCOL 1)
server
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO client.example
S~ 250 mx.example.org
! auth weak
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S: 534 5.7.9 This mechanism is too weak for this user: choose a stronger one
! auth temporary
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S: 454 4.7.0 Temporary authentication failure, try again later
! auth fail
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S: 535 5.7.8 Authentication credentials invalid
S: 421 4.7.0 Too many failed logins, closing
= note too-many AUTH 421
closed
