# auth-list-with-certificate = password: EXTERNAL hidden but accepted, for Cyrus clients (PROTOCOL 2)
server implicit-tls cert-list=password
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
S: 250 AUTH SCRAM-SHA-256 PLAIN LOGIN
! auth ok alice
C: AUTH EXTERNAL =
S: 235 2.7.0 Authenticated as alice
