# 4xx there: later
options tls=required
use starttls
tls verified
C EHLO client.example
S 451 4.3.0 busy
failed temporary EHLO inside TLS 451
C QUIT
close
