# SIZE, PIPELINING, SMTPUTF8 and the AUTH list of the clear part are gone inside TLS
options tls=required password=alice:secret
S 220 mail.example
C EHLO client.example
S 250-mail.example
S 250-SIZE 100
S 250-PIPELINING
S 250-SMTPUTF8
S 250-AUTH CRAM-MD5 SCRAM-SHA-256
S 250 STARTTLS
C STARTTLS
S 220 go
handshake
tls verified
C EHLO client.example
S 250-mail.example
S 250 AUTH LOGIN
C AUTH LOGIN
S 334 VXNlcm5hbWU6
auth LOGIN
token
C YWxpY2U=
S 334 UGFzc3dvcmQ6
auth LOGIN step1
token
C c2VjcmV0
S 235 ok
ready password
mail alice@example.org bob@example.net utf8 | SMTPUTF8
mail alice@example.org bob@example.net size=100000
C MAIL FROM:<alice@example.org>
