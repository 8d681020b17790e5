options cert=alice@example.org cert-login=explicit
use ehlo-cert
S 250 AUTH PLAIN LOGIN EXTERNAL
C AUTH EXTERNAL =
S 235 2.7.0 Logged in.
ready external explicit
