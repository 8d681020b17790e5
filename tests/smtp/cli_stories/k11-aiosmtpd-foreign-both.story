# ... TLS 1.2: in the handshake, without an alert; then by password
options cert=alice@example.org password=alice:secret
use starttls
tls failed cert peer unexpected EOF
reconnect
close
again
use ehlo-nocert
S 250 AUTH LOGIN PLAIN
use plain-ok
