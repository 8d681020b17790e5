# OpenSMTPD "verify": no AUTH, MAIL at once
options cert=alice@example.org
use ehlo-cert
S 250 DSN
ready implicit
use bare-deliver
