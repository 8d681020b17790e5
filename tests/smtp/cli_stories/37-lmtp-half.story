# ... lost between two verdicts: the first stands, the second is unknown
options tls=none lmtp
S 220 lda
C LHLO client.example
S 250 lda
ready none
mail a@a.example b@b.example,c@c.example
C MAIL FROM:<a@a.example>
S 250 ok
C RCPT TO:<b@b.example>
S 250 ok
C RCPT TO:<c@c.example>
S 250 ok
C DATA
S 354 go
end
C .
S 250 2.0.0 b
gone reset
sent accepted end of message 0: 250+ 0-
failed temporary end of message 0
close
