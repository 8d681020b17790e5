# The thread of May 2010: one server serves the client that says EXTERNAL and the one that does not (PROTOCOL 2, either)
server implicit-tls
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
S: 250 AUTH SCRAM-SHA-256 PLAIN LOGIN EXTERNAL
! auth ok alice
C: AUTH EXTERNAL =
= auth EXTERNAL first authzid= authcid=
S: 235 2.7.0 Authenticated as alice
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
