# EHLO is refused inside TLS: the client stops
server check=C07
C: (tls) EHLO
S: 502 5.5.1 Command not implemented
C: (tls) AUTH
S: 502 5.5.1 Command not implemented
C: (tls) MAIL
S: 250 2.1.0 Sender ok
= helo-inside-tls: helo-tls !mail-tls
= helo-mail-inside-tls: helo-tls mail-tls !login
= mail-without-greeting: ungreeted mail-tls
