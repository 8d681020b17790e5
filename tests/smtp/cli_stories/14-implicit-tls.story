# Port 465: TLS before the first octet, then greeting, EHLO and login as ever
options tls=implicit password=alice:secret
begin
handshake
tls verified
S 220 mail.example
C EHLO client.example
S 250-mail.example
S 250 AUTH PLAIN
auth PLAIN first
token
C AUTH PLAIN AGFsaWNlAHNlY3JldA==
S 235 2.7.0 ok
ready password
quit
C QUIT
S 221 bye
close
