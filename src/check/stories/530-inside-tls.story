# inside TLS no AUTH is listed and MAIL is answered 530 with words about STARTTLS: it means a login
server check=C10
C: (tls) EHLO
S: 250-mail.check.test
S: 250 8BITMIME
C: (tls) AUTH
S: 530 5.7.0 Must issue a STARTTLS command first
C: (tls) MAIL
S: 530 5.7.0 Must issue a STARTTLS command first
