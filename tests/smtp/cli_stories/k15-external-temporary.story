# 454 to EXTERNAL, no password: later
options cert=alice@example.org
use ehlo-cert
S 250 AUTH EXTERNAL
C AUTH EXTERNAL =
S 454 4.7.0 CRL is stale
failed temporary AUTH 454
C QUIT
close
