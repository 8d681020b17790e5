# STARTTLS edges: without a key it is not listed, and 454 when sent all the same (PROTOCOL 1)
server no-starttls no-login
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
S: 250 LIMITS RCPTMAX=500
C: STARTTLS
S: 454 4.7.0 TLS not available due to temporary reason
