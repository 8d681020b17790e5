# The second connection knows no certificate, whatever its TLS layer sends: no EXTERNAL,
# no third connection
options cert password=alice:secret only=PLAIN only=EXTERNAL
use ehlo-cert
S 250 AUTH PLAIN
auth PLAIN first
token
C AUTH PLAIN AGFsaWNlAHNlY3JldA==
S 535 5.7.8 Authentication failed.
reconnect
C QUIT
close
again
use ehlo-cert
S 250 AUTH PLAIN EXTERNAL
auth PLAIN first
token
C AUTH PLAIN AGFsaWNlAHNlY3JldA==
S 535 5.7.8 Authentication failed.
failed peer AUTH 535 auth-rejected
C QUIT
close
