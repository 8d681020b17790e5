# ... nor where a login is wanted
options tls=none password=alice:secret
S 220 old.example
C EHLO client.example
S 500 eh?
failed peer EHLO 500
C QUIT
close
