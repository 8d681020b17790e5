# the second recipient is refused: the client says so
server check=C15 needs=second-recipient
C: (tls 2) RCPT
S: 550 5.1.1 No such user
= partial-refusal-hidden: partial success
