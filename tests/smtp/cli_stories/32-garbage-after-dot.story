# garbage is no verdict
options tls=none
use in-plain
use data
end
C .
S maybe
sent unknown end of message 0: 0-
failed peer end of message 0
close
