# 454: later
options tls=required password=alice:secret
use starttls
tls verified
C EHLO client.example
S 250-mail.example
S 250 AUTH PLAIN
auth PLAIN first
token
C AUTH PLAIN AGFsaWNlAHNlY3JldA==
S 454 4.7.0 Temporary authentication failure
failed temporary AUTH 454
C QUIT
close
