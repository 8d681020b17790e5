# every recipient is refused: the client says so
server check=C15
C: (tls) RCPT
S: 550 5.1.1 No such user
