# AUTH replies: bad base64 501 5.5.2; nothing is tried (RFC 4954 4)
server
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO client.example
S~ 250 mx.example.org
C: AUTH PLAIN AGFsaWNl!!
S: 501 5.5.2 Cannot decode that as BASE64; start again with AUTH
C: AUTH PLAIN
S: 334\s
C: AGFsaWN
S: 501 5.5.2 Cannot decode that as BASE64; start again with AUTH
C: AUTH LOGIN
S: 334 VXNlcm5hbWU6
C: =
S: 501 5.5.2 Cannot decode that as BASE64; start again with AUTH
= never auth
! auth ok alice
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S: 235 2.7.0 Authenticated as alice
