options cert=alice@example.org password=alice:secret only=LOGIN
use ehlo-cert
S 250 AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256
C AUTH LOGIN
S 334 VXNlcm5hbWU6
auth LOGIN
token
C YWxpY2U=
S 334 UGFzc3dvcmQ6
auth LOGIN step1
token
C c2VjcmV0
S 235 2.0.0 OK Authenticated
ready password
