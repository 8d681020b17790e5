options tls=none
use in-plain
mail a@a.example b@b.example
C MAIL FROM:<a@a.example>
S 250 ok
C RCPT TO:<b@b.example>
S 250 ok
C DATA
S 421 4.3.2 bye
sent refused DATA 421: 421-
failed temporary DATA 421
close
