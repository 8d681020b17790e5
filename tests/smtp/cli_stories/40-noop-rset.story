options tls=none
use in-plain
noop
C NOOP
S 250 ok
ready none
rset
C RSET
S 250 ok
ready none
quit
C QUIT
S 500 what
close
