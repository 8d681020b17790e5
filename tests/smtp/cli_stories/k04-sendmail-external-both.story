options cert=alice@example.org password=alice:secret
use ehlo-cert
S 250 AUTH EXTERNAL PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256
C AUTH EXTERNAL =
S 235 2.0.0 OK Authenticated
ready external explicit
