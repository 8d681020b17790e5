# capabilities are listed before TLS and gone inside: they are forgotten
server check=C03 needs=starttls
C: (clear) EHLO
S: 250-mail.check.test
S: 250-PIPELINING
S: 250-SIZE 10485760
S: 250-8BITMIME
S: 250-SMTPUTF8
S: 250-DSN
S: 250-CHUNKING
S: 250-ENHANCEDSTATUSCODES
S: 250-AUTH CRAM-MD5
S: 250 STARTTLS
C: (tls cert) EHLO
S: 250-mail.check.test
S: 250 AUTH PLAIN LOGIN EXTERNAL
C: (tls) EHLO
S: 250-mail.check.test
S: 250 AUTH PLAIN LOGIN
= capabilities-fresh: delivered !stale
