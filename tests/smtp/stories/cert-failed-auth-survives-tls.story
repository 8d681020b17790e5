# ... also a failed AUTH in clear, before STARTTLS
server clear=CRAM-MD5
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
! auth temporary
C: AUTH CRAM-MD5
S: 454 4.7.0 Temporary authentication failure, try again later
! tls usable alice
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO c
S~ 250 mx
C: MAIL FROM:<alice@example.org>
S: 530 5.7.0 Authentication required
= never auth EXTERNAL
