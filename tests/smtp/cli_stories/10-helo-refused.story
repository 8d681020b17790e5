# Both refused
options tls=none
S 220 old.example
C EHLO client.example
S 500 eh?
C HELO client.example
S 550 go away
failed peer EHLO 550
C QUIT
close
