# auth-list-with-certificate = external: EXTERNAL alone; listed is accepted and nothing else (PROTOCOL 2)
server implicit-tls cert-list=external
! tls usable alice
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
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S: 504 5.5.4 PLAIN is not offered here; those listed behind EHLO are accepted
