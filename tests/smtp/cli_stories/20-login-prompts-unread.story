# The words behind 334 in LOGIN are never read, not even when they are no base64
options tls=required password=alice:secret only=LOGIN
use starttls
tls verified
C EHLO client.example
S 250-mail.example
S 250 AUTH LOGIN
C AUTH LOGIN
S 334 User Name\0 ???
auth LOGIN
token
C YWxpY2U=
S 334
auth LOGIN step1
token
C c2VjcmV0
S 235 ok
ready password
