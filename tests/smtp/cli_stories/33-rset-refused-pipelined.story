# no QUIT behind a DATA that may be answered by 354: it would be part of a message
options tls=none
use in-pipelining
mail a@a.example b@b.example
C MAIL FROM:<a@a.example>
C RCPT TO:<b@b.example>
C DATA
S 250 ok
S 250 ok
S 451 4.3.0 no disk
sent refused DATA 451: 451-
ready none
mail a@a.example b@b.example
C RSET
C MAIL FROM:<a@a.example>
C RCPT TO:<b@b.example>
C DATA
S 500 eh
sent refused RSET 500: 500-
failed peer RSET 500
close
