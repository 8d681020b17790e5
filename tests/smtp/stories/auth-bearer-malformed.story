# A message that is none is 501: nothing was tried, nothing is held against the client but an error
server tls=OAUTHBEARER,XOAUTH2
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO client.example
S~ 250 mx.example.org
C: AUTH OAUTHBEARER bixhPWFsaWNlAWF1dGg9QmVhcmVyIHQBAQ==
S: 501 5.5.2 Malformed OAUTHBEARER response; start again with AUTH
C: AUTH OAUTHBEARER biwsAWF1dGg9QmVhcmVyIHQB
S: 501 5.5.2 Malformed OAUTHBEARER response; start again with AUTH
C: AUTH OAUTHBEARER biwsAWF1dGg9QmVhcmVyIHQBAXg=
S: 501 5.5.2 Malformed OAUTHBEARER response; start again with AUTH
C: AUTH OAUTHBEARER cD10bHMtZXhwb3J0ZXIsLAFhdXRoPUJlYXJlciB0AQE=
S: 501 5.5.2 Malformed OAUTHBEARER response; start again with AUTH
C: AUTH OAUTHBEARER biwsAWF1dGg9QmFzaWMgdAEB
S: 501 5.5.2 Malformed OAUTHBEARER response; start again with AUTH
C: AUTH OAUTHBEARER biwsAWF1dGg9QmVhcmVyIHQBYXV0aD1CZWFyZXIgdQEB
S: 501 5.5.2 Malformed OAUTHBEARER response; start again with AUTH
C: AUTH OAUTHBEARER biwsAXBvcnQ9NTg3eAFhdXRoPUJlYXJlciB0AQE=
S: 501 5.5.2 Malformed OAUTHBEARER response; start again with AUTH
C: AUTH OAUTHBEARER biwsAWhvc3Q9AWF1dGg9QmVhcmVyIHQBAQ==
S: 501 5.5.2 Malformed OAUTHBEARER response; start again with AUTH
C: AUTH OAUTHBEARER biwsAQE=
S: 501 5.5.2 Malformed OAUTHBEARER response; start again with AUTH
C: AUTH OAUTHBEARER biwsAWF1dGg9QmVhcmVyIGEgYgEB
S: 501 5.5.2 Malformed OAUTHBEARER response; start again with AUTH
C: AUTH XOAUTH2 YXV0aD1CZWFyZXIgdAEB
S: 501 5.5.2 Malformed XOAUTH2 response; start again with AUTH
C: AUTH XOAUTH2 dXNlcj0BYXV0aD1CZWFyZXIgdAEB
S: 501 5.5.2 Malformed XOAUTH2 response; start again with AUTH
C: AUTH XOAUTH2 dXNlcj1hAXVzZXI9YgFhdXRoPUJlYXJlciB0AQE=
S: 501 5.5.2 Malformed XOAUTH2 response; start again with AUTH
C: AUTH XOAUTH2 dXNlcj1hAWF1dGg9AQE=
S: 501 5.5.2 Malformed XOAUTH2 response; start again with AUTH
= never auth OAUTHBEARER
= never auth XOAUTH2
! auth ok alice
C: AUTH OAUTHBEARER bixhPWFsaWNlLAFhdXRoPUJlYXJlciB0b2tlbgEB
S: 235 2.7.0 Authenticated as alice
