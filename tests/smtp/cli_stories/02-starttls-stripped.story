# STARTTLS absent: nothing is sent in clear though AUTH is listed
options tls=required password=alice:secret
S 220 mail.example ESMTP
C EHLO client.example
S 250-mail.example
S 250 AUTH PLAIN LOGIN
failed insecure EHLO 0 | offers no TLS
C QUIT
close
