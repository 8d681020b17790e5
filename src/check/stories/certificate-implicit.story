# the certificate counts by itself and EXTERNAL is not listed: the client sends
server check=C09 needs=certificate ask-certificate
C: (tls) EHLO
S: 250-mail.check.test
S: 250-8BITMIME
S: 250 AUTH SCRAM-SHA-256 PLAIN LOGIN
C: (tls) AUTH
S: 535 5.7.8 Credentials invalid
= implicit-not-tried: cert !delivered
= certificate-managed: cert delivered | {when}
