# ... the binding, the reason and that it was verified too
server ext=XCLIENT implicit-tls tls=SCRAM-SHA-256-PLUS certs=required
! tls unusable verified not mapped
S: 220 mx.example.org ESMTP
C: EHLO c
S~ 250 mx
C: XCLIENT ADDR=192.0.2.1
S: 220 mx.example.org ESMTP
C: EHLO c
S~ 250 mx
C: AUTH EXTERNAL =
S: 504 5.5.4 EXTERNAL not available: not mapped
