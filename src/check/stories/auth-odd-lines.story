# mechanisms are listed twice, in both forms, with unknown ones: the client takes one
server check=C08 needs=login
C: (tls) EHLO
S: 250-mail.check.test
S: 250-8BITMIME
S: 250-AUTH X-NEVER-SEEN PLAIN LOGIN PLAIN
S: 250-AUTH=LOGIN PLAIN
S: 250 X-NOTHING
= auth-line-misread: tls !login | both forms
