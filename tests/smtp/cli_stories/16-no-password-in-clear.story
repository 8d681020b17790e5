# TLS is not wanted, still PLAIN does not go in clear
options tls=none password=alice:secret login-required
S 220 mail.example
C EHLO client.example
S 250-mail.example
S 250 AUTH PLAIN LOGIN
failed peer AUTH 0 need-login | a password is not sent in clear
C QUIT
close
