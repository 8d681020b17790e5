# Exim "tls": AUTH vanishes because the certificate logged in already
options cert=alice@example.org
use ehlo-cert
S 250 HELP
ready implicit implicit | mail goes without AUTH
use bare-deliver
