# enhanced codes are read where they agree with the code; wrong ones are text
options tls=none
use in-plain
mail a@a.example b@b.example
C MAIL FROM:<a@a.example>
S 250 5.1.0 odd
C RCPT TO:<b@b.example>
S 550-5.1.1 no such user
S 550-5.1.1 really
S 550 5.1.1 not
sent refused RCPT 550: 550-
ready none
