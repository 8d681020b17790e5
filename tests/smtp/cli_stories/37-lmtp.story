# LMTP: one verdict for each accepted recipient
options tls=none lmtp
S 220 lda
C LHLO client.example
S 250-lda
S 250 PIPELINING
ready none
mail a@a.example b@b.example,c@c.example,d@d.example
C MAIL FROM:<a@a.example>
C RCPT TO:<b@b.example>
C RCPT TO:<c@c.example>
C RCPT TO:<d@d.example>
S 250 ok
S 250 ok
S 550 5.1.1 no
S 250 ok
C DATA
S 354 go
give x\r\n
end
C x
C .
S 250 2.0.0 b
S 452 4.2.2 d is full
sent accepted end of message 452: 250+ 550- 452-
ready none
