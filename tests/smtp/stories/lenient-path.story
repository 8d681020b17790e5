# lenient-path: paths without angle brackets; still one address with its domain, still no null path (PROTOCOL 3)
server no-login lenient-path
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:alice
S~ 501 5.
C: MAIL FROM:
S~ 501 5.
C: MAIL FROM:alice@example.org>
S~ 501 5.
C: MAIL FROM:alice@example.org,eve@example.org
S~ 501 5.
C: MAIL FROM: alice@example.org SIZE=100 BODY=8BITMIME
S: 250 2.1.0 Sender ok
C: RCPT TO:bob@example.net
S: 250 2.1.5 Recipient ok
C: RCPT TO:<carol@example.net>
S: 250 2.1.5 Recipient ok
C: RCPT TO:bob@example.net carol@example.net
S~ 501 5.5.4
