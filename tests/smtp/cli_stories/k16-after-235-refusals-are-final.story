# After 235 what MAIL and RCPT refuse is the message: 530 and 550 5.7.1 leave no doubt, and nothing else is tried
options cert=alice@example.org password=alice:secret
use ehlo-cert
S 250 AUTH EXTERNAL PLAIN
C AUTH EXTERNAL =
S 235 2.7.0 welcome
ready external
mail eve@example.org bob@example.net
C MAIL FROM:<eve@example.org>
S 530 5.7.0 Authentication required
sent refused MAIL 530: 530-
ready external
mail eve@example.org bob@example.net
C MAIL FROM:<eve@example.org>
S 550 5.7.1 not your address
sent refused MAIL 550: 550-
ready external
mail alice@example.org bob@example.net
C MAIL FROM:<alice@example.org>
S 250 2.1.0 ok
C RCPT TO:<bob@example.net>
S 530 5.7.0 Authentication required
sent refused RCPT 530: 530-
ready external
quit
C QUIT
S 221 bye
close
