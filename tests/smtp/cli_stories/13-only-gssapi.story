# Nothing usable: the words say what is offered and what we could do
options tls=required password=alice:secret login-required
use starttls
tls verified
C EHLO client.example
S 250-mail.example
S 250 AUTH GSSAPI NTLM
failed peer AUTH 0 need-login | offers no mechanism that we can use inside TLS: it offers GSSAPI NTLM; we can use a password
C QUIT
close
