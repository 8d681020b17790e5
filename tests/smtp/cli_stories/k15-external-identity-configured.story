# The configured identity goes before the certificate's; twice ignored IR
options cert=alice@example.org identity=al
use ehlo-cert
S 250 AUTH EXTERNAL
C AUTH EXTERNAL =
S 535 no
C AUTH EXTERNAL YWw=
S 334 
C YWw=
S 235 2.7.0 ok
ready external explicit
