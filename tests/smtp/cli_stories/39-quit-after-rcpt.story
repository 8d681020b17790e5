options tls=none quit-after=RCPT
use in-pipelining
mail a@a.example b@b.example
C MAIL FROM:<a@a.example>
S 250 ok
C RCPT TO:<b@b.example>
S 250 ok
C QUIT
sent refused
S 221 bye
close
