options password=alice:secret
use ehlo-nocert
S 250-SMTPUTF8
S 250 AUTH EXTERNAL LOGIN PLAIN
use plain-ok
