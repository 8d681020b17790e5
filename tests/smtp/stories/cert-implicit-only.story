# certificate-login = implicit: EXTERNAL is not offered and not accepted; MAIL logs in (PROTOCOL 2)
server implicit-tls cert-login=implicit
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
C: AUTH EXTERNAL =
S: 504 5.5.4 EXTERNAL is not offered here; those listed behind EHLO are accepted
! auth ok alice
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
