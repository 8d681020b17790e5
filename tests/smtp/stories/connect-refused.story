# The owner refuses the connection: its words, close
server
! connect 421 4.7.0 too many connections from you
S: 421 4.7.0 too many connections from you
closed
