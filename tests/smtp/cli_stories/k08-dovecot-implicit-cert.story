# Dovecot lists EXTERNAL always; "=" works with a certificate
options cert=alice@example.org
use ehlo-cert
S 250 AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256 EXTERNAL
C AUTH EXTERNAL =
S 235 2.7.0 Logged in.
ready external explicit
