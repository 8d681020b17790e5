# client-certificates = required: in clear TLS is needed for mail even where no login is
server certs=required no-login
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<alice@example.org>
S: 530 5.7.0 Must issue a STARTTLS command first
