# bare LF, a bare code, mixed line ends
options tls=none
S' 220-hello\n220\n
C EHLO client.example
S' 250-mx.example\n250-PIPELINING\r\n250 SIZE\n
ready none
