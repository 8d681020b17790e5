# the server says 235 and proves nothing: the client goes away
server check=C08 needs=login scram=no-signature
C: (tls) EHLO
S: 250-mail.check.test
S: 250-8BITMIME
S: 250 AUTH SCRAM-SHA-256
= scram-signature-unchecked: login mail-tls | {when}
= scram-signature-checked: scram !mail-tls | {when}
