# aiosmtpd: EXTERNAL first, no PIPELINING; it fails the handshake of a foreign certificate
options cert=alice@example.org
use ehlo-cert
S 250-SMTPUTF8
S 250 AUTH EXTERNAL LOGIN PLAIN
C AUTH EXTERNAL =
S 235 2.7.0 Authentication successful
ready external explicit
