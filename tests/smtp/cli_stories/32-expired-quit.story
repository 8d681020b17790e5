options tls=none
use in-plain
quit
C QUIT
expired
close
