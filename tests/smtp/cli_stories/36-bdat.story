# CHUNKING where preferred and offered; no dots doubled
options tls=none bdat
use in-pipelining
mail a@a.example b@b.example size=20
C MAIL FROM:<a@a.example>
C RCPT TO:<b@b.example>
S 250 ok
S 250 ok
body?
give .dot\r\nx\ny
end
C BDAT 12 LAST
C .dot
C x
C y
S 250 2.0.0 ok
sent accepted end of message 250: 250+
ready none
