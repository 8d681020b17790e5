# ... and one that leaves behind its 530 judged no mail
options cert=alice@example.org
use ehlo-cert
S 250-PIPELINING
S 250 AUTH PLAIN
ready implicit
mail alice@example.org bob@example.net
C MAIL FROM:<alice@example.org>
C RCPT TO:<bob@example.net>
S 530 5.7.0 Authentication required
S 421 4.7.0 too many errors
sent refused AUTH 0: 0-
failed temporary
close
