# A refused XOAUTH2 token: challenge first, and "*" there is a failed login too
server tls=XOAUTH2 auth-max=2
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO client.example
S~ 250 mx.example.org
! auth fail
C: AUTH XOAUTH2 dXNlcj1hbGljZQFhdXRoPUJlYXJlciB0b2tlbgEB
S: 334 eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIiwic2NoZW1lcyI6ImJlYXJlciJ9
C:
S: 535 5.7.8 Authentication credentials invalid
! auth fail
C: AUTH XOAUTH2
S: 334\s
C: dXNlcj1hbGljZQFhdXRoPUJlYXJlciB0b2tlbgEB
S: 334 eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIiwic2NoZW1lcyI6ImJlYXJlciJ9
C: *
S: 501 5.7.0 Authentication cancelled
S: 421 4.7.0 Too many failed logins, closing
closed
