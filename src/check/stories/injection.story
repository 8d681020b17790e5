# replies are injected behind the 220 of STARTTLS: they are not believed
server check=C05 needs=starttls
C: (clear) STARTTLS
S: 220 2.0.0 Ready to start TLS
S: 250-injected.check.test
S: 250-AUTH PLAIN LOGIN
S: 250 8BITMIME
C: (tls) EHLO
! hold 1000
S: 250-mail.check.test
S: 250-8BITMIME
S: 250 AUTH PLAIN LOGIN
= injection-believed: early
= injection-ignored: starttls !early
