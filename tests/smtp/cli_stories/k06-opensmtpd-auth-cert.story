# OpenSMTPD "auth": a certificate grants nothing
options cert=alice@example.org
use ehlo-cert
S 250-DSN
S 250 AUTH PLAIN LOGIN
ready implicit
mail alice@example.org bob@example.net
C MAIL FROM:<alice@example.org>
S 530 5.5.1 Invalid command: Must issue an AUTH command first
sent refused AUTH 0: 0-
failed peer MAIL 530 need-login | the certificate alone was not enough here
C QUIT
close
