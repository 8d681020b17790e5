# EXTERNAL is listed for everybody: a client with a password alone uses that
server check=C08 needs=login
C: (tls) EHLO
S: 250-mail.check.test
S: 250-8BITMIME
S: 250 AUTH EXTERNAL PLAIN LOGIN
= external-without-certificate: external !cert !delivered
