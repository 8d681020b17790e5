# A certificate is configured, the server did not want one: EXTERNAL is not said
options cert=alice@example.org login-required
use ehlo-nocert
S 250 AUTH EXTERNAL PLAIN
failed peer AUTH 0 need-login | it did not ask for our certificate: give a password
C QUIT
close
