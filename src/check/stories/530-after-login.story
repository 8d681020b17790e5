# MAIL is answered 530 after the login: nothing is sent and nothing is claimed
server check=C10 needs=login
C: (tls) MAIL
S: 530 5.7.0 Authentication required
