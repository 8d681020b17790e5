# Courier says 535 at MAIL when it wants a login
use ehlo-nocert
S 250 AUTH PLAIN LOGIN CRAM-MD5
ready none
mail alice@example.org bob@example.net
C MAIL FROM:<alice@example.org>
S 535 Authentication required.
sent refused AUTH 0: 0-
failed peer MAIL 535 need-login | give a user name and password, or a client certificate
C QUIT
close
