# A third prompt is one too many
options tls=required password=alice:secret only=LOGIN
use starttls
tls verified
C EHLO client.example
S 250-mail.example
S 250 AUTH LOGIN
C AUTH LOGIN
S 334 a
auth LOGIN
token
C YWxpY2U=
S 334 b
auth LOGIN step1
token
C c2VjcmV0
S 334 c
C *
S 235 well then
failed peer AUTH 0 | more than the mechanism has
close
