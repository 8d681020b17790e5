# refused for now: the client says so
server check=C16 each=mail,rcpt,data,dot
C: @
S: 451 4.3.0 Try again later
= refusal-told: fired failure !delivered
