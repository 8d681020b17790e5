# SMTPUTF8 is not offered: a non-ASCII address is refused
server check=C19 utf8-recipient
C: (tls) RCPT
S: 553 5.6.7 Non-ASCII address
C: (tls) MAIL
S: 250 2.1.0 Sender ok
