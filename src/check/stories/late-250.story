# the reply to the message takes five seconds: the client waits
server check=C20
C: (tls) <dot>
! hold 5000
S: 250 2.0.0 Taken after some thought
