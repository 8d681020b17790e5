options tls=none
use in-plain
mail a@a.example b@b.example
C MAIL FROM:<a@a.example>
S 250 ok
C RCPT TO:<b@b.example>
S 250 ok
C DATA
S 250 ok
sent refused DATA 250: 250-
failed peer DATA 250
close
