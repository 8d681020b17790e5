# allow_clear_secret: the option whose name says so
options tls=none password=alice:secret allow-clear-secret
S 220 mail.example
C EHLO client.example
S 250-mail.example
S 250 AUTH PLAIN
auth PLAIN first
token
C AUTH PLAIN AGFsaWNlAHNlY3JldA==
