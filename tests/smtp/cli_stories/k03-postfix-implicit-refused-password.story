# Pinned "implicit", RCPT 554 5.7.1 and a password in hand: RSET, AUTH, MAIL again
options cert=alice@example.org cert-login=implicit password=alice:secret only=PLAIN
use ehlo-cert
S 250 AUTH PLAIN LOGIN
ready implicit
mail alice@example.org bob@example.net,carol@example.net
C MAIL FROM:<alice@example.org>
S 250 2.1.0 Ok
C RCPT TO:<bob@example.net>
S 554 5.7.1 <bob@example.net>: Recipient address rejected: Access denied
C RCPT TO:<carol@example.net>
S 550 5.7.1 <carol@example.net>: Recipient address rejected: Access denied
C RSET
S 250 2.0.0 Ok
auth PLAIN first
token
C AUTH PLAIN AGFsaWNlAHNlY3JldA==
S 235 2.7.0 Authentication successful
C MAIL FROM:<alice@example.org>
S 250 2.1.0 Ok
C RCPT TO:<bob@example.net>
S 250 2.1.5 Ok
C RCPT TO:<carol@example.net>
S 250 2.1.5 Ok
C DATA
S 354 go
give hello\r\n
end
C hello
C .
S 250 2.0.0 Ok: queued as 1
sent accepted end of message 250: 250+ 250+
ready password password
