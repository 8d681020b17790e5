# mechanisms are listed in the old form only: AUTH=PLAIN LOGIN
server check=C08 needs=login
C: (tls) EHLO
S: 250-mail.check.test
S: 250-8BITMIME
S: 250 AUTH=PLAIN LOGIN
= legacy-auth-line-unread: tls !login
