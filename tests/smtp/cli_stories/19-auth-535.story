# 535: ask the user; a weaker mechanism is not tried
options tls=required password=alice:secret
use starttls
tls verified
C EHLO client.example
S 250-mail.example
S 250 AUTH PLAIN LOGIN
auth PLAIN first
token
C AUTH PLAIN AGFsaWNlAHNlY3JldA==
S 535 5.7.8 Error: authentication failed
failed peer AUTH 535 auth-rejected | login of "alice" by PLAIN; check user name and password
C QUIT
close
