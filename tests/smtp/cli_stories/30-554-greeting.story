options tls=none
S 554 5.7.1 no mail for you
failed peer greeting 554
C QUIT
close
