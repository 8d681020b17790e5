# the login is refused for now (454): nothing is sent
server check=C08 needs=login
C: <login-good>
S: 454 4.7.0 Temporary authentication failure
