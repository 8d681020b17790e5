options cert=alice@example.org password=alice:secret
use ehlo-cert
S 250-DSN
S 250 AUTH PLAIN LOGIN
use plain-ok
