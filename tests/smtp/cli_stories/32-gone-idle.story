options tls=none
use in-plain
gone EOF
failed temporary MAIL 0
close
