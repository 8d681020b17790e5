options tls=none bdat
use in-pipelining
mail a@a.example b@b.example
C MAIL FROM:<a@a.example>
C RCPT TO:<b@b.example>
S 250 ok
S 250 ok
end
C BDAT 0 LAST
S 250 2.0.0 ok
sent accepted end of message 250: 250+
ready none
