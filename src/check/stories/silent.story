# the server says nothing: the client goes away in the end
server check=C20 each=greeting,mail thorough
C: @
! silent
= waits-for-ever: killed held | {when}
