# BINARYMIME: octets as they are
options tls=none
S 220 mx.example
C EHLO client.example
S 250-mx.example
S 250-CHUNKING
S 250-8BITMIME
S 250 BINARYMIME
ready none
mail a@a.example b@b.example body=binary
C MAIL FROM:<a@a.example> BODY=BINARYMIME
S 250 ok
C RCPT TO:<b@b.example>
S 250 ok
give \0\r\x80\n.
end
C' BDAT 5 LAST\r\n\0\r\x80\n.
S 250 ok
sent accepted end of message 250: 250+
ready none
