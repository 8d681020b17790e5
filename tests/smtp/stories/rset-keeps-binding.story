# RSET and EHLO leave the channel binding
server implicit-tls tls=SCRAM-SHA-256-PLUS
! tls binding
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: RSET
S: 250 2.0.0 Ok
C: EHLO c
S~ 250 mx
! auth ok alice
C: AUTH SCRAM-SHA-256-PLUS cD0=
S: 235 2.7.0 Authenticated as alice
