# The option whose name says so
options tls=required password=alice:secret allow-unverified
use starttls
tls unverified self-signed
C EHLO client.example
S 250-mail.example
S 250 AUTH PLAIN
auth PLAIN first
token
C AUTH PLAIN AGFsaWNlAHNlY3JldA==
S 235 ok
ready password password
