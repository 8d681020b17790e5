# Pinned "explicit" and not offered: nothing else is tried, the words say what is
options cert=alice@example.org password=alice:secret cert-login=explicit
use ehlo-cert
S 250 AUTH PLAIN
failed peer AUTH 0 need-login | it offers PLAIN; try certificate-login auto
C QUIT
close
