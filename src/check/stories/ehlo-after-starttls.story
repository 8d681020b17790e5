# MAIL and AUTH need an EHLO inside TLS: the client says it
server check=C02 needs=starttls
C: (tls ungreeted) MAIL
S: 503 5.5.1 Send EHLO first
C: (tls ungreeted) AUTH
S: 503 5.5.1 Send EHLO first
= no-ehlo-after-starttls: ungreeted
= ehlo-after-starttls: ehlo-tls !ungreeted
