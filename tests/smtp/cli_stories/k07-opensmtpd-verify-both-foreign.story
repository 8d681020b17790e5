# ... a foreign one is refused, and without it nobody is let in
options cert=alice@example.org password=alice:secret
use starttls
tls verified cert
C EHLO client.example
alerted server refused our certificate (unknown CA)
reconnect
close
again
use starttls
tls verified asked
C EHLO client.example
alerted server wants a certificate and got none
failed peer handshake 0 need-login | it refused ours: use one that it knows
close
