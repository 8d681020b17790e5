# RSET and EHLO give nothing back: a failed login, and what the certificate proved, stay known (PROTOCOL 1, 2)
server implicit-tls auth-max=2
! tls usable alice
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
! auth fail
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S: 535 5.7.8 Authentication credentials invalid
C: RSET
S: 250 2.0.0 Ok
C: EHLO c
S~ 250 mx
C: MAIL FROM:<alice@example.org>
S: 530 5.7.0 Authentication required
= never auth EXTERNAL
C: RSET
S: 250 2.0.0 Ok
! auth fail
C: AUTH EXTERNAL =
S: 535 5.7.8 Authentication credentials invalid
S: 421 4.7.0 Too many failed logins, closing
closed
