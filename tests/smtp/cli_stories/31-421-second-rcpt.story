# accepted before, lost now: nothing was accepted
options tls=none
use in-plain
mail a@a.example b@b.example,c@c.example,d@d.example
C MAIL FROM:<a@a.example>
S 250 ok
C RCPT TO:<b@b.example>
S 550 5.1.1 no
C RCPT TO:<c@c.example>
S 250 ok
C RCPT TO:<d@d.example>
S 421 4.3.2 bye
sent refused RCPT 421: 550- 421- 421-
failed temporary RCPT 421
close
