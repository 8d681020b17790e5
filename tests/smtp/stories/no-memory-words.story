# quit in the middle of a transaction tells the owner
server no-login
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: QUIT
S: 221 2.0.0 Bye
closed
= abort
