# RSET and EHLO leave what TLS proved: verified, the reason, the binding (RFC 3207 4.2)
server certs=required implicit-tls tls=SCRAM-SHA-256-PLUS
! tls unusable verified no account for this certificate
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: RSET
S: 250 2.0.0 Ok
C: EHLO c
S~ 250 mx
C: AUTH EXTERNAL =
S: 504 5.5.4 EXTERNAL not available: no account for this certificate
C: MAIL FROM:<alice@example.org>
S: 530 5.7.0 Authentication required; the client certificate does not count: no account for this certificate
