# refused for good: the client says so
server check=C16 each=mail,rcpt,data,dot
C: @
S: 554 5.7.1 Not wanted
= refusal-told: fired failure !delivered
