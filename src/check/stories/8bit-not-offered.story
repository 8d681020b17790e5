# 8BITMIME is not offered: an 8-bit message is encoded or refused
server check=C19 message=8bit
C: (tls cert) EHLO
S: 250-mail.check.test
S: 250 AUTH PLAIN LOGIN EXTERNAL
C: (tls) EHLO
S: 250-mail.check.test
S: 250 AUTH PLAIN LOGIN
C: (clear) EHLO
S: 250-mail.check.test
S: 250 STARTTLS
