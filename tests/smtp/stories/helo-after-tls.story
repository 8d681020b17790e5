# After the handshake HELO is accepted; AUTH after it is 503 (PROTOCOL 1)
server
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: HELO client.example
S: 250 mx.example.org
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S: 503 5.5.1 AUTH needs EHLO, you said HELO: send EHLO
C: MAIL FROM:<alice@example.org>
S: 530 5.7.0 Authentication required
