# auth-list-with-certificate = external: without a usable certificate the passwords are listed as ever
server implicit-tls cert-list=external
! tls unusable expired
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
! auth ok alice
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S: 235 2.7.0 Authenticated as alice
