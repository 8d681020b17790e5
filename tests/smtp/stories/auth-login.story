# AUTH LOGIN: two prompts; an initial response is taken as the user name (PROTOCOL 1)
server
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO client.example
S~ 250 mx.example.org
C: AUTH LOGIN
S: 334 VXNlcm5hbWU6
C: YWxpY2U=
S: 334 UGFzc3dvcmQ6
! auth fail
C: d3Jvbmc=
= auth LOGIN first authzid= authcid=alice secret=wrong
S: 535 5.7.8 Authentication credentials invalid
C: AUTH LOGIN YWxpY2U=
S: 334 UGFzc3dvcmQ6
! auth ok alice
C: c2VjcmV0
S: 235 2.7.0 Authenticated as alice
