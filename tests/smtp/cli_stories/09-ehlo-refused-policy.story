# "550 we do not like you" is not "I do not know EHLO"
options tls=none
S 220 mail.example
C EHLO client.example
S 550 5.7.1 blocked
failed peer EHLO 550
C QUIT
close
