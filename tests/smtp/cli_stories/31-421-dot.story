# 421 to the dot: not accepted, known
options tls=none
use in-plain
use data
give line\r\n
end
C line
C .
S 421 4.3.2 bye
sent refused end of message 421: 421-
failed temporary end of message 421
close
