# bare CR and LF in the message: they become CR LF, or the message is refused
server check=C18 message=bare
