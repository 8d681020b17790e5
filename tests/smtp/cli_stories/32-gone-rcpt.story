options tls=none
use in-plain
mail a@a.example b@b.example
C MAIL FROM:<a@a.example>
S 250 ok
C RCPT TO:<b@b.example>
gone reset by peer
sent refused RCPT 0: 0-
failed temporary RCPT 0 | reset by peer
close
