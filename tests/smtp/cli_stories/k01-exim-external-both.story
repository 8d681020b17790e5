# ... the same with a password in hand
options cert=alice@example.org password=alice:secret
use ehlo-cert
S 250 AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256 EXTERNAL
C AUTH EXTERNAL =
S 535 Incorrect authentication data
C AUTH EXTERNAL YWxpY2VAZXhhbXBsZS5vcmc=
S 235 Authentication succeeded
ready external explicit
