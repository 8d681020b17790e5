# every recipient refused, DATA refused too
options tls=none
use in-pipelining
mail a@a.example b@b.example,c@c.example
C MAIL FROM:<a@a.example>
C RCPT TO:<b@b.example>
C RCPT TO:<c@c.example>
C DATA
S 250 ok
S 550 5.1.1 no
S 450 4.2.1 later
S 554 5.5.1 no recipients
sent refused RCPT 450: 550- 450-
ready none
