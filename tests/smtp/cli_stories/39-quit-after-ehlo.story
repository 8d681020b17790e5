options quit-after=EHLO-TLS
use ehlo-nocert
S 250 AUTH PLAIN
C QUIT
S 221 bye
close
