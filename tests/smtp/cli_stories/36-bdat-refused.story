options tls=none bdat
use in-pipelining
mail a@a.example b@b.example
C MAIL FROM:<a@a.example>
C RCPT TO:<b@b.example>
S 250 ok
S 250 ok
give x\r\n
end
C BDAT 3 LAST
C x
S 554 5.6.0 no
sent refused end of message 554: 554-
ready none
