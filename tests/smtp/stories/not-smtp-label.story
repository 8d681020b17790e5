# Not a mail client: a header line is 421 4.7.0, close, also later in the session
server
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO client.example
S~ 250 mx.example.org
C: X-Forwarded-For: 192.0.2.1
S: 421 4.7.0 This is a mail server and that was not SMTP
closed
