# in the middle of the message
options tls=none
use in-plain
use data
give line\r\n
C line
S 421 4.3.2 bye
sent refused DATA 421: 421-
failed temporary DATA 421
close
