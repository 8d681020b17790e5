# Tokens are neither listed nor taken in the clear, whatever else is there (PROTOCOL 1)
server clear=CRAM-MD5 tls=OAUTHBEARER,XOAUTH2
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: AUTH OAUTHBEARER bixhPWFsaWNlLAFhdXRoPUJlYXJlciB0b2tlbgEB
S: 504 5.5.4 OAUTHBEARER is not offered without TLS: send STARTTLS first
C: AUTH XOAUTH2 dXNlcj1hbGljZQFhdXRoPUJlYXJlciB0b2tlbgEB
S: 504 5.5.4 XOAUTH2 is not offered without TLS: send STARTTLS first
= never auth OAUTHBEARER
= never auth XOAUTH2
= nobody
