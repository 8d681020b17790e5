# Pinned "implicit": 550 at MAIL, RSET, the password
options cert=alice@example.org password=alice:secret only=PLAIN cert-login=implicit
use ehlo-cert
S 250 AUTH PLAIN LOGIN CRAM-MD5
ready implicit
mail alice@example.org bob@example.net
C MAIL FROM:<alice@example.org>
S 550 Authentication required
C RSET
S 250 OK
auth PLAIN first
token
C AUTH PLAIN AGFsaWNlAHNlY3JldA==
S 235 2.7.0 Authentication successful
C MAIL FROM:<alice@example.org>
S 250 sender OK
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
ready password
