# -PLUS with a binding is listed first; challenge mechanisms are opaque tokens
server tls=SCRAM-SHA-256-PLUS,SCRAM-SHA-256
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
! tls binding
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
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
S: 250 AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256
! auth challenge r=abc
! auth ok alice v=sig
C: AUTH SCRAM-SHA-256-PLUS cD0=
= auth SCRAM-SHA-256-PLUS first authzid= authcid= secret= token=p=
S: 334 cj1hYmM=
C: Yz1iaXdz
= auth SCRAM-SHA-256-PLUS authzid= authcid= secret= token=c=biws
S: 334 dj1zaWc=
= nobody
C:
S: 235 2.7.0 Authenticated as alice
= user alice
