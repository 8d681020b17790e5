# Opportunistic with a stranger: inside TLS, without AUTH
options tls=opportunistic password=alice:secret cert=alice@example.org
use starttls
tls unverified cert self-signed
C EHLO client.example
S 250-mail.example
S 250 AUTH PLAIN EXTERNAL
ready implicit
use deliver
ready implicit implicit | accepted without a login; identity unconfirmed
