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
gone reset
sent unknown end of message 0: 0-
failed temporary end of message 0
close
