# RFC 9422
options tls=none
S 220 mx.example
C EHLO client.example
S 250-mx.example
S 250 LIMITS RCPTMAX=2 MAILMAX=1 FOO=x
ready none
mail a@a.example b@b.example,c@c.example,d@d.example | takes 2 a message
mail <> b@b.example,c@c.example
C MAIL FROM:<>
S 550 no
sent refused MAIL 550: 550- 550-
ready none
mail <> b@b.example | takes 1 messages a connection
