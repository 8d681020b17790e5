# "AUTH=LOGIN PLAIN" alone is read
options tls=required password=alice:secret only=LOGIN
use starttls
tls verified
C EHLO client.example
S 250-mail.example
S 250-AUTH=LOGIN PLAIN
S 250 HELP
C AUTH LOGIN
