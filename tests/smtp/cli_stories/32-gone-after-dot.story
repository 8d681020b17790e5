# lost after the dot: unknown
options tls=none
use in-plain
use data
give line\r\n
end
C line
C .
gone reset
sent unknown end of message 0: 0-
failed temporary end of message 0 | it may have been accepted
close
