# A refusal has no side effect: EHLO refused by the owner keeps the transaction (PROTOCOL 1)
server
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO client.example
S~ 250 mx.example.org
! auth ok alice
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S: 235 2.7.0 Authenticated as alice
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
! ehlo 550 5.7.1 not by that name
C: EHLO bad.example
S: 550 5.7.1 not by that name
C: RCPT TO:<bob@example.net>
S: 250 2.1.5 Recipient ok
= never abort
