# ... a certificate that Postfix does not know: MAIL passes, RCPT says 554 5.7.1
options cert=alice@example.org
use ehlo-cert
S 250 AUTH PLAIN LOGIN
ready implicit
mail alice@example.org bob@example.net
C MAIL FROM:<alice@example.org>
S 250 2.1.0 Ok
C RCPT TO:<bob@example.net>
S 554 5.7.1 <bob@example.net>: Recipient address rejected: Access denied
sent refused RCPT 554: 554- login-doubt
ready implicit
