options tls=none
use in-plain
mail a@a.example b@b.example
C MAIL FROM:<a@a.example>
S 250 ok
C RCPT TO:<b@b.example>
S 452 4.5.3 too many
sent refused RCPT 452: 452-
ready none
mail a@a.example b@b.example
C RSET
S 500 eh
sent refused RSET 500: 500-
failed peer RSET 500
C QUIT
close
