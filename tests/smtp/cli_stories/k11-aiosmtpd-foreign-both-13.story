# ... TLS 1.3: EOF at the first read
options cert=alice@example.org password=alice:secret
use starttls
tls verified cert
C EHLO client.example
gone EOF
reconnect
close
again
use ehlo-nocert
S 250 AUTH LOGIN PLAIN
use plain-ok
