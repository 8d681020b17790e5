# client-certificates = required: 554 5.7.0 to every command but QUIT, closed after the third (RFC 3207 4.1)
server certs=required implicit-tls
S: 220 mx.example.org ESMTP
C: EHLO c
S: 554 5.7.0 Client certificate required: none was sent
C: FOO
S: 554 5.7.0 Client certificate required: none was sent
C: NOOP
S: 554 5.7.0 Client certificate required: none was sent
closed
