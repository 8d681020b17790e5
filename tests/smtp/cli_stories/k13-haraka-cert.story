# Haraka says a plain 550 at MAIL
options cert=alice@example.org
use ehlo-cert
S 250 AUTH PLAIN LOGIN CRAM-MD5
ready implicit
mail alice@example.org bob@example.net
C MAIL FROM:<alice@example.org>
S 550 Authentication required
sent refused MAIL 550: 550- login-doubt
ready implicit
