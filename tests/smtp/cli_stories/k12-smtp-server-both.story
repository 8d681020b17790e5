options cert=alice@example.org password=alice:secret only=PLAIN
use ehlo-cert
S 250 AUTH PLAIN LOGIN CRAM-MD5
use plain-ok
