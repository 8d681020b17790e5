# ... and of idle commands
server idle-max=3
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: NOOP
S: 250 2.0.0 Ok
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: NOOP
S: 421 4.7.0 Too many commands without a message, closing
closed
