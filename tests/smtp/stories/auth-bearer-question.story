# An empty auth asks who gives out tokens here: the answer is the error (RFC 7628 4.3)
server tls=OAUTHBEARER
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO client.example
S~ 250 mx.example.org
! auth fail
C: AUTH OAUTHBEARER bixhPWFsaWNlLAFhdXRoPQEB
= auth OAUTHBEARER first authzid=alice authcid= secret=
S: 334 eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIiwic2NoZW1lcyI6ImJlYXJlciJ9
C: AQ==
S: 535 5.7.8 Authentication credentials invalid
