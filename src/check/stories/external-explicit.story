# the certificate counts after AUTH EXTERNAL only: the client says it
server check=C09 needs=certificate ask-certificate
C: (tls) EHLO
S: 250-mail.check.test
S: 250-8BITMIME
S: 250 AUTH PLAIN LOGIN EXTERNAL
C: (tls nobody) MAIL
S: 530 5.7.0 Authentication required
= external-not-spoken: cert !external !delivered
= certificate-managed: cert external delivered | {when}
