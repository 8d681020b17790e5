# Mechanism list: none in clear by default; the secret-showing ones never, whatever the policy says (PROTOCOL 1)
server clear=PLAIN,LOGIN,OAUTHBEARER,XOAUTH2,EXTERNAL
S: 220 mx.example.org ESMTP
C: EHLO c
S: 250-mx.example.org
S: 250-PIPELINING
S: 250-SIZE 1000000
S: 250-8BITMIME
S: 250-SMTPUTF8
S: 250-DSN
S: 250-ENHANCEDSTATUSCODES
S: 250-CHUNKING
S: 250-LIMITS RCPTMAX=500
S: 250 STARTTLS
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S: 530 5.7.0 Must issue a STARTTLS command first
C: AUTH LOGIN
S: 530 5.7.0 Must issue a STARTTLS command first
= never auth
