# EHLO refused inside TLS is an error in the server's words, never HELO
options tls=required
use starttls
tls verified
C EHLO client.example
S 502 5.5.1 what is EHLO
failed peer EHLO inside TLS 502 | what is EHLO
C QUIT
close
