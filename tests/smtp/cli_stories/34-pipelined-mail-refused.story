# MAIL refused: the replies behind it say nothing
options tls=none
use in-pipelining
mail a@a.example b@b.example
C MAIL FROM:<a@a.example>
C RCPT TO:<b@b.example>
C DATA
S 451 4.3.0 later
S 503 5.5.1 MAIL first
S 503 5.5.1 RCPT first
sent refused MAIL 451: 451-
ready none
