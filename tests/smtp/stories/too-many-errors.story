# Error limits: 20 errors, then 421 (PROTOCOL 1)
server error-max=3
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: FOO
S~ 500 5.5.2
C: STARTTLS x
S~ 501 5.5.4
C: FOO
S~ 500 5.5.2
S: 421 4.7.0 Too many errors, closing
= note too-many  421
closed
