# SMTP smuggling: no variant of an end of data inside the message survives
options tls=none
use in-plain
use data
give a\n.\r\nMAIL FROM:<evil@x>\r\nb\r\n.\nc\r.\rd\n.\ne\r
end
C a
C ..
C MAIL FROM:<evil@x>
C b
C ..
C c
C ..
C d
C ..
C e
C .
S 250 ok
sent accepted end of message 250: 250+
ready none
