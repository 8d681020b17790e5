options tls=none
S 220 mx.example
C EHLO client.example
S 421 4.3.2 bye
failed temporary EHLO 421
close
