# a line of 100 kB is cut for its words and still understood
options tls=none line-max=100
S' 220 
fill 1000 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
S' \r\n
C EHLO client.example
