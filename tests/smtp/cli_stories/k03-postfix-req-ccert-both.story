# ... with a password in hand: one more connection, without the certificate
options cert=alice@example.org password=alice:secret only=PLAIN
use starttls
tls verified cert
C EHLO client.example
S 421 4.7.1 mail.example Error: Client certificate not trusted
reconnect
close
again
use ehlo-nocert
S 250 AUTH PLAIN
use plain-ok
