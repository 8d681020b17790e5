options password=alice:secret
use ehlo-nocert
S 250-DSN
S 250 AUTH PLAIN LOGIN
use plain-ok
