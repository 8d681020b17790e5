# AUTH is listed in clear but answered 530: that means STARTTLS
server check=C10 needs=starttls
C: (clear) EHLO
S: 250-mail.check.test
S: 250-8BITMIME
S: 250-STARTTLS
S: 250 AUTH PLAIN LOGIN
