# Messages of a connection are counted across EHLO, RSET and STARTTLS
server no-login mail-max=1
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: RCPT TO:<bob@example.net>
S: 250 2.1.5 Recipient ok
C: DATA
S: 354 Send the message, end it with a line that holds a dot alone
C: .
S: 250 2.0.0 Accepted
C: RSET
S: 250 2.0.0 Ok
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO c
S~ 250 mx
C: MAIL FROM:<>
S: 452 4.5.3 Too many messages on this connection: send QUIT and connect again
