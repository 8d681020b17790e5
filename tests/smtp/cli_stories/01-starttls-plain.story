# STARTTLS, EHLO again, AUTH PLAIN, one message in one flight, QUIT
options tls=required password=alice:secret
S 220 mail.example ESMTP
C EHLO client.example
S 250-mail.example hello
S 250-PIPELINING
S 250 STARTTLS
C STARTTLS
S 220 2.0.0 go ahead
handshake
tls verified
C EHLO client.example
S 250-mail.example
S 250-PIPELINING
S 250-SIZE 10000000
S 250-ENHANCEDSTATUSCODES
S 250 AUTH PLAIN LOGIN
auth PLAIN first
token
C AUTH PLAIN AGFsaWNlAHNlY3JldA==
shown C AUTH PLAIN [hidden]
S 235 2.7.0 welcome
ready password password
mail alice@example.org bob@example.net,carol@example.net size=100
C MAIL FROM:<alice@example.org> SIZE=100
C RCPT TO:<bob@example.net>
C RCPT TO:<carol@example.net>
C DATA
S 250 2.1.0 ok
S 250 2.1.5 ok
S 550 5.1.1 no carol
S 354 go
body?
give Subject: x\r\n\r\n.hidden dot\r\nlast line
end
C Subject: x
C 
C ..hidden dot
C last line
C .
S 250 2.0.0 queued
sent accepted end of message 250: 250+ 550-
ready password
quit
C QUIT
S 221 bye
close
