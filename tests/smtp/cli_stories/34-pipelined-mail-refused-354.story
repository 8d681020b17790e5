# ... and 354 behind it is answered by the dot alone
options tls=none
use in-pipelining
mail a@a.example b@b.example
C MAIL FROM:<a@a.example>
C RCPT TO:<b@b.example>
C DATA
S 550 5.1.8 no
S 250 ok
S 354 go
C .
S 250 ok
sent refused MAIL 550: 550-
ready none
