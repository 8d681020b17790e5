# Behind a STARTTLS that is refused there is no TLS to inject into: commands go on in order
server
S: 220 mx.example.org ESMTP
C: STARTTLS
C: NOOP
S: 503 5.5.1 Send EHLO first
S: 250 2.0.0 Ok
