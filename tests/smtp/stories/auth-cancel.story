# AUTH replies: "*" at any step is 501 5.7.0 (RFC 4954 4)
server clear=CRAM-MD5 tls=PLAIN,LOGIN,CRAM-MD5
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO client.example
S~ 250 mx.example.org
C: AUTH PLAIN
S: 334\s
C: *
S: 501 5.7.0 Authentication cancelled
C: AUTH LOGIN
S: 334 VXNlcm5hbWU6
C: YWxpY2U=
S: 334 UGFzc3dvcmQ6
C: *
S: 501 5.7.0 Authentication cancelled
= never auth-end
! auth challenge x
C: AUTH CRAM-MD5
S: 334 eA==
C: *
= auth-end
S: 501 5.7.0 Authentication cancelled
! auth ok alice
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S: 235 2.7.0 Authenticated as alice
