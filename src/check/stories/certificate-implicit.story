# the certificate counts by itself and EXTERNAL is not listed: the client sends
server check=C09 needs=certificate ask-certificate
C: (tls) EHLO
S: 250-mail.check.test
S: 250-8BITMIME
S: 250 AUTH SCRAM-SHA-256 PLAIN LOGIN
C: (tls) AUTH EXTERNAL
S: 504 5.5.4 That mechanism is not offered here
= implicit-not-tried: cert !delivered
= certificate-managed: cert delivered | {when}
