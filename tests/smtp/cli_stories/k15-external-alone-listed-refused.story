# EXTERNAL alone is listed and refused, AUTH gone for the password: reconnect without it
options cert=alice@example.org password=alice:secret
use ehlo-cert
S 250 AUTH EXTERNAL
C AUTH EXTERNAL =
S 535 5.7.8 no
C AUTH EXTERNAL YWxpY2VAZXhhbXBsZS5vcmc=
S 535 5.7.8 no
ready implicit
mail alice@example.org bob@example.net
C MAIL FROM:<alice@example.org>
S 530 5.7.0 Authentication required
reconnect
C QUIT
close
again
use ehlo-nocert
S 250 AUTH PLAIN
use plain-ok
