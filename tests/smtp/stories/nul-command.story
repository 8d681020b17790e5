# A NUL in a command: 500 5.5.2, close
server
S: 220 mx.example.org ESMTP
C: NO\0OP
S~ 500 5.5.2 Bare CR
closed
