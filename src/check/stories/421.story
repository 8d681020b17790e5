# 421 and the end: nothing is claimed, and the client ends
server check=C13 each=greeting,ehlo,starttls,ehlo-tls,auth,mail,rcpt,data,dot
C: @
S: 421 4.3.2 Going down, come again later
= going-down-understood: fired failure !delivered
