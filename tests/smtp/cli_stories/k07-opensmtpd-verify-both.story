# ... also with a password that nobody asks for
options cert=alice@example.org password=alice:secret
use ehlo-cert
S 250 DSN
ready implicit
use bare-deliver
