options tls=none
use in-plain
use data
give line\r\n
C line
gone reset
sent refused DATA 0: 0-
failed temporary DATA 0
close
