# a reply has a line of 2000 octets: it is read or refused
server check=C11
C: (tls) EHLO
S: 250-mail.check.test
S: 250-X-LONG \*2000x
S: 250-8BITMIME
S: 250 AUTH SCRAM-SHA-256 PLAIN LOGIN
= long-reply-line-unmanaged: tls !delivered
