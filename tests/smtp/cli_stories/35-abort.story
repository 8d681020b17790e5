# given up half-way: the connection is cut, no dot, no QUIT into the body
options tls=none
use in-plain
use data
give half a mess
C' half a mess
abort
sent refused DATA 0: 0-
failed temporary DATA 0
close
