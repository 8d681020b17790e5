# Nobody can say whether the token is good: 454 at once, and the client may come again
server tls=OAUTHBEARER,XOAUTH2
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO client.example
S~ 250 mx.example.org
! auth temporary
C: AUTH XOAUTH2 dXNlcj1hbGljZQFhdXRoPUJlYXJlciB0b2tlbgEB
S: 454 4.7.0 Temporary authentication failure, try again later
! auth temporary
C: AUTH OAUTHBEARER bixhPWFsaWNlLAFhdXRoPUJlYXJlciB0b2tlbgEB
S: 454 4.7.0 Temporary authentication failure, try again later
= nobody
