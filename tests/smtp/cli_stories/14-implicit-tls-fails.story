# ... never again in clear
options tls=implicit password=alice:secret
begin
handshake
tls failed wrong version number
failed insecure handshake 0 | wrong version number
close
