# no extension is offered: none is used
server check=C19
C: (tls cert) EHLO
S: 250-mail.check.test
S: 250 AUTH PLAIN LOGIN EXTERNAL
C: (tls) EHLO
S: 250-mail.check.test
S: 250 AUTH PLAIN LOGIN
C: (clear) EHLO
S: 250-mail.check.test
S: 250 STARTTLS
