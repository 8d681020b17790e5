# The password refused because of the certificate: once more without it
options cert password=alice:secret only=PLAIN only=EXTERNAL
use ehlo-cert
S 250 AUTH PLAIN EXTERNAL
C AUTH EXTERNAL =
S 535 5.7.8 Authentication failed.
auth PLAIN first
token
C AUTH PLAIN AGFsaWNlAHNlY3JldA==
S 535 5.7.8 Authentication failed.
reconnect
C QUIT
close
again
use ehlo-nocert
S 250 AUTH PLAIN EXTERNAL
use plain-ok
