# ... by password: EXTERNAL is not listed without a certificate
options password=alice:secret never=SCRAM-SHA-256 never=CRAM-MD5
use ehlo-nocert
S 250 AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256
use plain-ok
