options password=alice:secret only=PLAIN
use ehlo-nocert
S 250 AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256
use plain-ok
