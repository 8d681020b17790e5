options password=alice:secret
use ehlo-nocert
S 250 AUTH PLAIN
use plain-ok
