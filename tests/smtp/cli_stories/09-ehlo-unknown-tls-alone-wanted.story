# TLS is wanted, nothing else: still no HELO
S 220 old.example
C EHLO client.example
S 500 eh?
failed insecure EHLO 500 | does not know EHLO
C QUIT
close
