# QUIT never waits long, and nobody minds its end
options tls=none
use in-plain
quit
C QUIT
gone EOF
close
