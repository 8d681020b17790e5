options tls=none
use in-plain
mail a@a.example b@b.example
C MAIL FROM:<a@a.example>
S 421 4.3.2 bye
sent refused MAIL 421: 421-
failed temporary MAIL 421
close
