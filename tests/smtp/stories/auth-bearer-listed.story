# Tokens are offered only where they are configured
server tls=PLAIN
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO client.example
S~ 250 mx.example.org
C: AUTH OAUTHBEARER bixhPWFsaWNlLAFhdXRoPUJlYXJlciB0b2tlbgEB
S: 504 5.5.4 OAUTHBEARER is not offered here; those listed behind EHLO are accepted
C: AUTH XOAUTH2 dXNlcj1hbGljZQFhdXRoPUJlYXJlciB0b2tlbgEB
S: 504 5.5.4 XOAUTH2 is not offered here; those listed behind EHLO are accepted
= never auth OAUTHBEARER
= nobody
