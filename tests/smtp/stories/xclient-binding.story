# ... the binding
server ext=XCLIENT implicit-tls tls=SCRAM-SHA-256-PLUS
! tls binding
S: 220 mx.example.org ESMTP
C: EHLO c
S~ 250 mx
C: XCLIENT ADDR=192.0.2.1
S: 220 mx.example.org ESMTP
C: EHLO c
S~ 250 mx
! auth fail
C: AUTH SCRAM-SHA-256-PLUS cD0=
S: 535 5.7.8 Authentication credentials invalid
