# ... AUTH listed and a password held: the password
options cert=alice@example.org password=alice:secret only=PLAIN
use ehlo-cert
S 250 AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256
use plain-ok
