# ... and behind its 550 left the doubt
options cert=alice@example.org
use ehlo-cert
S 250-PIPELINING
S 250 AUTH PLAIN
ready implicit
mail alice@example.org bob@example.net
C MAIL FROM:<alice@example.org>
C RCPT TO:<bob@example.net>
S 550 5.7.9 Mail to submission port must be authenticated
S 421 4.7.0 too many errors
sent refused MAIL 550: 550- login-doubt
failed temporary
close
