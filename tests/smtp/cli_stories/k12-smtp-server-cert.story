# nodemailer's smtp-server: certificates mean nothing, 530 at MAIL
options cert=alice@example.org
use ehlo-cert
S 250 AUTH PLAIN LOGIN CRAM-MD5
ready implicit
mail alice@example.org bob@example.net
C MAIL FROM:<alice@example.org>
S 530 Error: authentication Required
sent refused AUTH 0: 0-
failed peer MAIL 530 need-login | give a password
C QUIT
close
