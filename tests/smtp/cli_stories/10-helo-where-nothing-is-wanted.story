# RFC 5321 3.2: an old server, no TLS, no login, no parameters
options tls=none
S 220 old.example
C EHLO client.example
S 500 eh?
C HELO client.example
S 250 hi
ready none -
mail alice@example.org bob@example.net size=1000
C MAIL FROM:<alice@example.org>
S 250 ok
C RCPT TO:<bob@example.net>
S 250 ok
C DATA
S 354 go
give hello\r\n
end
C hello
C .
S 250 ok
sent accepted end of message 250: 250+
ready none
