# XCLIENT starts the session anew and leaves what TLS proved
server ext=XCLIENT implicit-tls tls=SCRAM-SHA-256-PLUS,PLAIN
! tls usable alice only binding
S: 220 mx.example.org ESMTP
C: EHLO c
S~ 250 mx
C: XCLIENT ADDR=192.0.2.1
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
S: 250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT
S: 250 AUTH EXTERNAL
! auth ok alice
C: AUTH EXTERNAL =
S: 235 2.7.0 Authenticated as alice
! cert usable alice
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
