# ... and not with a stranger; nothing is said before its greeting
options tls=implicit password=alice:secret
begin
handshake
tls unverified expired
failed insecure handshake 0 | expired
close
