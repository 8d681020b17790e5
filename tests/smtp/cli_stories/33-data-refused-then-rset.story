# refused half-way: RSET goes before the next MAIL
options tls=none
use in-plain
mail a@a.example b@b.example
C MAIL FROM:<a@a.example>
S 250 ok
C RCPT TO:<b@b.example>
S 250 ok
C DATA
S 451 4.3.0 no disk
sent refused DATA 451: 451-
ready none
mail a@a.example b@b.example
C RSET
S 250 ok
C MAIL FROM:<a@a.example>
