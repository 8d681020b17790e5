# without lenient-path a path has its angle brackets: RFC 5321 4.1.2
server no-login
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:alice@example.org
S~ 501 5.
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: RCPT TO:bob@example.net
S~ 501 5.
