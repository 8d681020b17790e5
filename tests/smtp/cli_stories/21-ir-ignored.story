# A server that ignores the initial response gets the token once more
options tls=required password=alice:secret only=PLAIN
use starttls
tls verified
C EHLO client.example
S 250-mail.example
S 250 AUTH PLAIN
auth PLAIN first
token
C AUTH PLAIN AGFsaWNlAHNlY3JldA==
S 334 
auth PLAIN first
token
C AGFsaWNlAHNlY3JldA==
S 334 
C *
S 334 what
failed peer AUTH 0
close
