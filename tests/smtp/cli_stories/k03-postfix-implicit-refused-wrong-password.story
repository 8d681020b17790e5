# ... and a wrong password then is no verdict on the mail: no recipient is given up
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
S 554 5.7.1 <carol@example.net>: Recipient address rejected: Access denied
C RSET
S 250 2.0.0 Ok
auth PLAIN first
token
C AUTH PLAIN AGFsaWNlAHNlY3JldA==
S 535 5.7.8 Error: authentication failed
sent refused AUTH 0: 0- 0-
failed peer AUTH 535 auth-rejected
C QUIT
close
