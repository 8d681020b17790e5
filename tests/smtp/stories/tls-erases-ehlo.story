# What STARTTLS erases: MAIL before a new EHLO is 503, with words that say why (PROTOCOL 1; the thread of January 2009)
server
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: MAIL FROM:<alice@example.org>
S: 503 5.5.1 TLS began a new session: what you said before it is forgotten, send EHLO again
C: RCPT TO:<bob@example.net>
S~ 503 5.5.1 TLS began a new session
C: DATA
S~ 503 5.5.1 TLS began a new session
C: BDAT 3
C- abc
S~ 503 5.5.1 TLS began a new session
C: VRFY bob
S~ 503 5.5.1 TLS began a new session
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S~ 503 5.5.1 TLS began a new session
= never auth
C: EHLO client.example
S~ 250 mx.example.org
! auth ok alice
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S: 235 2.7.0 Authenticated as alice
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: QUIT
S: 221 2.0.0 Bye
closed
