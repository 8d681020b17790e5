# AUTH EXTERNAL is answered by an empty 334 whatever was sent: the client answers that
server check=C09 needs=certificate ask-certificate external-334
C: (tls) EHLO
S: 250-mail.check.test
S: 250-8BITMIME
S: 250 AUTH PLAIN LOGIN EXTERNAL
C: (tls nobody) MAIL
S: 530 5.7.0 Authentication required
= external-334-unmanaged: external !delivered
= certificate-managed: cert external delivered | {when}
