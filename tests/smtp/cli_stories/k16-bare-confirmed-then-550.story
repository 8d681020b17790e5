# After one message went through with the certificate alone, 550 is about the message
options cert=alice@example.org cert-login=implicit password=alice:secret
use ehlo-cert
S 250 AUTH PLAIN
ready implicit
use bare-deliver
mail eve@example.org bob@example.net
C MAIL FROM:<eve@example.org>
S 550 5.7.1 not your address
sent refused MAIL 550: 550-
ready implicit
