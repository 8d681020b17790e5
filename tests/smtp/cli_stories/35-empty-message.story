options tls=none
use in-plain
use data
end
C .
S 250 ok
sent accepted end of message 250: 250+
ready none
