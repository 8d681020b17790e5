# ... MAIL 250, RCPT "550 5.7.1 Relaying denied" is no login question after 235
options password=alice:secret only=PLAIN
use ehlo-nocert
S 250 AUTH PLAIN LOGIN
use plain-ok
mail alice@example.org bob@example.net
C MAIL FROM:<alice@example.org>
S 250 2.1.0 Sender ok
C RCPT TO:<bob@example.net>
S 550 5.7.1 Relaying denied
sent refused RCPT 550: 550-
ready password
