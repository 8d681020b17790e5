# STARTTLS keeps the counts of errors and of idle commands (PROTOCOL 1)
server error-max=2
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: FOO
S~ 500 5.5.2
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: FOO
S~ 500 5.5.2
S: 421 4.7.0 Too many errors, closing
closed
