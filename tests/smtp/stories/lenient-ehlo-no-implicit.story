# lenient-ehlo: no implicit login by certificate (PROTOCOL 1)
server lenient-ehlo
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
! tls usable alice
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: MAIL FROM:<alice@example.org>
S: 530 5.7.0 Authentication required
= nobody
C: EHLO client.example
S~ 250 mx.example.org
! auth ok alice
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
= user alice
