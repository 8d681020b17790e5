# Sender: refused at MAIL with the owner's words; the session goes on (PROTOCOL 3)
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
! mail 550 5.7.1 alice may not send as bob@example.org
C: MAIL FROM:<bob@example.org>
S: 550 5.7.1 alice may not send as bob@example.org
C: RCPT TO:<x@example.net>
S: 503 5.5.1 No mail transaction is open: send MAIL first
= never abort
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
