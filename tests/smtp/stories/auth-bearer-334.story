# A message that does not fit in the AUTH line comes behind an empty 334 (RFC 4954 4)
server tls=OAUTHBEARER,XOAUTH2
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO client.example
S~ 250 mx.example.org
! auth ok alice
C: AUTH OAUTHBEARER
S: 334\s
C: bixhPWFsaWNlLAFob3N0PW14LmV4YW1wbGUub3JnAXBvcnQ9NTg3AWF1dGg9QmVhcmVyIHRva2VuAQE=
= auth OAUTHBEARER first authzid=alice authcid= secret=token
S: 235 2.7.0 Authenticated as alice
= user alice
