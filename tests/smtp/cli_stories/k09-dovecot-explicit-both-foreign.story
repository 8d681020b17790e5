# A foreign certificate: EXTERNAL refused twice, PLAIN works on the same connection
options cert=alice@example.org password=alice:secret only=PLAIN only=EXTERNAL
use ehlo-cert
S 250 AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256 EXTERNAL
C AUTH EXTERNAL =
S 535 5.7.8 Authentication failed.
C AUTH EXTERNAL YWxpY2VAZXhhbXBsZS5vcmc=
S 535 5.7.8 Authentication failed.
use plain-ok
