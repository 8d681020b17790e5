# Exim "external": "=" is refused, the certificate's address is wanted
options cert=alice@example.org
use ehlo-cert
S 250 AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256 EXTERNAL
C AUTH EXTERNAL =
S 535 Incorrect authentication data
C AUTH EXTERNAL YWxpY2VAZXhhbXBsZS5vcmc=
S 235 Authentication succeeded
ready external explicit | wanted the identity named
use deliver
ready external
