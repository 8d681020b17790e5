# Implicit login also after HELO: some clients with a certificate say it (PROTOCOL 1, 2)
server
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
! tls usable alice
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: HELO c
S: 250 mx.example.org
! auth ok alice
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
= user alice
