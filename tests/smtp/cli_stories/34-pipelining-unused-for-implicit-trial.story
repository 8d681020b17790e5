# No DATA in the flight while MAIL may still turn out to want a login
options cert=alice@example.org password=alice:secret cert-login=implicit
use ehlo-cert
S 250-PIPELINING
S 250 AUTH PLAIN
ready implicit
mail alice@example.org bob@example.net
C MAIL FROM:<alice@example.org>
C RCPT TO:<bob@example.net>
S 530 5.7.0 login
S 503 5.5.1 MAIL first
C RSET
S 250 ok
auth PLAIN first
token
C AUTH PLAIN AGFsaWNlAHNlY3JldA==
S 235 ok
C MAIL FROM:<alice@example.org>
C RCPT TO:<bob@example.net>
C DATA
S 250 ok
S 250 ok
S 354 go
