# A bare CR in a command: 500 5.5.2, close
server
S: 220 mx.example.org ESMTP
C: NO\rOP
S~ 500 5.5.2 Bare CR
closed
