# Implicit TLS is the state after STARTTLS before EHLO (RFC 8314 3.3)
server implicit-tls
= handshake
= connect
S: 220 mx.example.org ESMTP
C: MAIL FROM:<alice@example.org>
S: 503 5.5.1 Send EHLO first
C: EHLO c
S~ 250 mx.example.org
C: STARTTLS
S: 503 5.5.1 TLS is active already
! auth ok alice
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S: 235 2.7.0 Authenticated as alice
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
