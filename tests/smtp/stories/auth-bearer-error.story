# A refused token: the reason as a challenge, the client's dummy, then 535 (RFC 7628 3.2.2)
server tls=OAUTHBEARER,XOAUTH2
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO client.example
S~ 250 mx.example.org
! auth fail
C: AUTH OAUTHBEARER bixhPWFsaWNlLAFhdXRoPUJlYXJlciB0b2tlbgEB
= auth OAUTHBEARER first authzid=alice authcid= secret=token
S: 334 eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIiwic2NoZW1lcyI6ImJlYXJlciJ9
C: AQ==
S: 535 5.7.8 Authentication credentials invalid
! auth ok alice
C: AUTH XOAUTH2 dXNlcj1hbGljZQFhdXRoPUJlYXJlciB0b2tlbgEB
= auth XOAUTH2 first authzid= authcid=alice secret=token
S: 235 2.7.0 Authenticated as alice
