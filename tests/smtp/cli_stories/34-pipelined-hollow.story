# RFC 2920: 354 though all were refused: a lone dot, and nothing was sent
options tls=none
use in-pipelining
mail a@a.example b@b.example
C MAIL FROM:<a@a.example>
C RCPT TO:<b@b.example>
C DATA
S 250 ok
S 550 5.1.1 no
S 354 go
C .
S 250 2.0.0 queued as 0
sent refused RCPT 550: 550-
ready none
mail a@a.example b@b.example
C MAIL FROM:<a@a.example>
C RCPT TO:<b@b.example>
C DATA
