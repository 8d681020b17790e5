# ... with a password in hand that cannot be used and is not needed
options cert=alice@example.org password=alice:secret
use ehlo-cert
S 250 HELP
ready implicit implicit
use bare-deliver
