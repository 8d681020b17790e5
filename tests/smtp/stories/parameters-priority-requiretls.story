# MT-PRIORITY -9 to 9; REQUIRETLS inside TLS (RFC 6710, RFC 8689)
server ext=MT-PRIORITY,REQUIRETLS
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO client.example
S~ 250 mx.example.org
! auth ok alice
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S: 235 2.7.0 Authenticated as alice
C: MAIL FROM:<alice@example.org> MT-PRIORITY=-9 REQUIRETLS
S: 250 2.1.0 Sender ok
= mail <alice@example.org> priority=-9 requiretls
C: RSET
S: 250 2.0.0 Ok
C: MAIL FROM:<alice@example.org> MT-PRIORITY=10
S~ 501 5.5.4
C: MAIL FROM:<alice@example.org> MT-PRIORITY=+1
S~ 501 5.5.4
