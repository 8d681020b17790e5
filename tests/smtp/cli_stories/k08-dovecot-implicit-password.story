# ... EXTERNAL is listed without a certificate: never taken because it is listed
options password=alice:secret only=PLAIN
use ehlo-nocert
S 250 AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256 EXTERNAL
use plain-ok
