# AUTH replies: base64 that is not the mechanism's form is 501 5.5.2
server tls=PLAIN,LOGIN,XOAUTH2,OAUTHBEARER
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO client.example
S~ 250 mx.example.org
C: AUTH PLAIN YWxpY2U=
S: 501 5.5.2 Malformed PLAIN response; start again with AUTH
C: AUTH PLAIN =
S: 501 5.5.2 Malformed PLAIN response; start again with AUTH
C: AUTH XOAUTH2 YWxpY2U=
S: 501 5.5.2 Malformed XOAUTH2 response; start again with AUTH
C: AUTH OAUTHBEARER YWxpY2U=
S: 501 5.5.2 Malformed OAUTHBEARER response; start again with AUTH
= never auth
