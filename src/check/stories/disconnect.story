# disconnected in place of a reply: nothing is claimed, and the client ends
server check=C14 each=greeting,ehlo,starttls,ehlo-tls,auth,mail,rcpt,data,dot,quit
C: @
! close
= disconnect-understood: fired failure !delivered
