# MAIL, RCPTs and DATA in one flight; partial recipients
options tls=none
use in-pipelining
mail a@a.example b@b.example,c@c.example,d@d.example
C MAIL FROM:<a@a.example>
C RCPT TO:<b@b.example>
C RCPT TO:<c@c.example>
C RCPT TO:<d@d.example>
C DATA
S 250 ok
S 250 ok
S 452 4.5.3 too many
S 550 5.1.1 no
S 354 go
give x\r\n
end
C x
C .
S 250 2.0.0 ok
sent accepted end of message 250: 250+ 452- 550-
ready none
