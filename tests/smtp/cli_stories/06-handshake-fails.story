# A failed handshake ends the connection: not one more octet in clear
options tls=required password=alice:secret
use starttls
tls failed no shared cipher
failed insecure handshake 0 | no shared cipher
close
