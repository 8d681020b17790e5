# the certificate logged in and AUTH is gone from the list: the client sends
server check=C09 needs=certificate ask-certificate
C: (tls) EHLO
S: 250-mail.check.test
S: 250 8BITMIME
C: (tls) AUTH
S: 503 5.5.1 AUTH command used when not advertised
= auth-gone-unmanaged: cert !delivered
= certificate-managed: cert delivered | {when}
