# Where no login is required a refused implicit login does not stop MAIL
server no-login implicit-tls
! tls usable alice
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
! auth fail
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
= nobody
