# client-certificates = required: an unverified one is told its reason; QUIT works
server certs=required
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
! tls unusable issuer unknown
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO c
S: 554 5.7.0 Client certificate required: issuer unknown
C: QUIT
S: 221 2.0.0 Bye
closed
