# the login is refused for good: nothing is sent
server check=C08 needs=login
C: <login-good>
S: 535 5.7.8 Credentials invalid
C: (tls) MAIL
S: 250 2.1.0 Sender ok
= mail-after-refused-login: mail-anonymous
