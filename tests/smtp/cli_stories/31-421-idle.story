options tls=none
use in-plain
S 421 4.4.2 idle
failed temporary MAIL 421
close
