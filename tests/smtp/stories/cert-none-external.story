# EXTERNAL without a certificate: 504 with the reason (RFC 4422 A)
server implicit-tls
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: AUTH EXTERNAL =
S: 504 5.5.4 EXTERNAL not available: no client certificate was sent
