options tls=none no-pipelining
use in-pipelining
mail a@a.example b@b.example
C MAIL FROM:<a@a.example>
silence
S 250 ok
C RCPT TO:<b@b.example>
S 250 ok
C DATA
