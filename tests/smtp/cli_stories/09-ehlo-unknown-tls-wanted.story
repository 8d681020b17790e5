# The downgrade by "500 EHLO?": TLS is wanted, so HELO is never said
options tls=required password=alice:secret
S 220 old.example
C EHLO client.example
S 502 command not implemented
failed insecure EHLO 502
C QUIT
close
