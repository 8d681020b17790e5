options cert=alice@example.org password=alice:secret
use ehlo-cert
S 250 AUTH PLAIN
use plain-ok
