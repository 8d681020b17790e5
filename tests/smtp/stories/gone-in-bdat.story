# A connection cut inside BDAT queues nothing, not even between chunks
server no-login
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: RCPT TO:<bob@example.net>
S: 250 2.1.5 Recipient ok
C: BDAT 3
C- abc
S~ 250 2.0.0
! gone
= abort
closed
= never end
