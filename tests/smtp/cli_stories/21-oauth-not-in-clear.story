# A token is never sent in the clear, however loudly it is offered
options tls=none token=alice:tok login-required
S 220 mail.example
C EHLO client.example
S 250-mail.example
S 250 AUTH OAUTHBEARER XOAUTH2
failed peer AUTH 0 need-login | a password is not sent in clear
C QUIT
close
