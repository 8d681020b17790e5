# chasquid: 550 5.7.9 at MAIL, one mechanism
options cert=alice@example.org
use ehlo-cert
S 250 AUTH PLAIN
ready implicit
mail alice@example.org bob@example.net
C MAIL FROM:<alice@example.org>
S 550 5.7.9 Mail to submission port must be authenticated
sent refused MAIL 550: 550-
ready implicit
