# Where nobody is logged in DATA waits: a server that leaves at the third error in a row
# could else not say what it wants
options cert=alice@example.org
use ehlo-cert
S 250-PIPELINING
S 250 AUTH PLAIN
ready implicit
mail alice@example.org bob@example.net
C MAIL FROM:<alice@example.org>
C RCPT TO:<bob@example.net>
silence
S 550 5.7.9 Mail to submission port must be authenticated
S 503 5.5.1 Sender not yet given
sent refused MAIL 550: 550- login-doubt
ready implicit
