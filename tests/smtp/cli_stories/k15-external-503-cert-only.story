# ... without a password: MAIL may still work
options cert=alice@example.org
use ehlo-cert
S 250 AUTH EXTERNAL
C AUTH EXTERNAL =
S 503 AUTH command used when not advertised
ready implicit
use bare-deliver
