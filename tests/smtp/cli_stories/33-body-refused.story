# a refusal at the dot; the session goes on, without RSET
options tls=none
use in-plain
use data
give spam\r\n
end
C spam
C .
S 554 5.7.1 spam
sent refused end of message 554: 554-
ready none
mail a@a.example b@b.example
C MAIL FROM:<a@a.example>
