options tls=none
use in-plain
use data
end
C .
expired
sent unknown end of message 0: 0-
failed temporary end of message 0 | it may have been accepted
close
