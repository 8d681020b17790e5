# STARTTLS edges: key unavailable 454 4.7.0, from the policy or from the owner; the session goes on (RFC 3207 4)
server
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
! starttls 454 4.7.0 TLS not available due to temporary reason
C: STARTTLS
S: 454 4.7.0 TLS not available due to temporary reason
C: NOOP
S: 250 2.0.0 Ok
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
