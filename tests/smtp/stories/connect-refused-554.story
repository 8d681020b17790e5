# 554 instead of the greeting closes too (RFC 5321 3.1)
server
! connect 554 5.7.1 not welcome
S: 554 5.7.1 not welcome
closed
