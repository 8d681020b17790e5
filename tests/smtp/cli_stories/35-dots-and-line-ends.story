# dot-stuffing, CRLF at the end, bare CR and LF never sent
options tls=none
use in-plain
use data
give .\r\n..\r\n.a\r\n\r\nb\nc\rd\r\r\n.\n.e
end
C ..
C ...
C ..a
C 
C b
C c
C d
C 
C ..
C ..e
C .
S 250 ok
sent accepted end of message 250: 250+
ready none
