# A token is no password: PLAIN gets none
options tls=required token=alice:tok login-required
use starttls
tls verified
C EHLO client.example
S 250-mail.example
S 250 AUTH PLAIN LOGIN
failed peer AUTH 0 need-login | offers PLAIN LOGIN
C QUIT
close
