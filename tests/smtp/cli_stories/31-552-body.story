# a server that refuses before the end: nothing it says later is believed
options tls=none
use in-plain
use data
give line\r\n
C line
S 552 5.3.4 too big
sent refused DATA 552: 552-
failed peer DATA 552
close
