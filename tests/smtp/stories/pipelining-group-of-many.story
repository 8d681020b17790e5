# Pipelining: more recipients than one event holds
server no-login
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: RCPT TO:<a@b.example>\r\nRCPT TO:<a@b.example>\r\nRCPT TO:<a@b.example>\r\nRCPT TO:<a@b.example>\r\nRCPT TO:<a@b.example>
S: 250 2.1.5 Recipient ok
S: 250 2.1.5 Recipient ok
S: 250 2.1.5 Recipient ok
S: 250 2.1.5 Recipient ok
S: 250 2.1.5 Recipient ok
