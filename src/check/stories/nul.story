# a NUL in the message: it is encoded or refused
server check=C18 message=nul
