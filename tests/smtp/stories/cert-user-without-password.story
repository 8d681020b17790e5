# A user without a password is offered EXTERNAL alone: what mutt without a user name needs (PROTOCOL 2)
server implicit-tls
! tls usable alice only
S: 220 mx.example.org ESMTP
C: EHLO c
S: 250-mx.example.org
S: 250-PIPELINING
S: 250-SIZE 1000000
S: 250-8BITMIME
S: 250-SMTPUTF8
S: 250-DSN
S: 250-ENHANCEDSTATUSCODES
S: 250-CHUNKING
S: 250-LIMITS RCPTMAX=500
S: 250 AUTH EXTERNAL
! auth ok alice
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
