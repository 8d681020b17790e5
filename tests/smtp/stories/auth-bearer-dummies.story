# Behind the error the client's answer is a dummy: ^A, nothing or anything else (RFC 7628 3.2.3)
server tls=OAUTHBEARER auth-max=9
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: STARTTLS
S: 220 2.0.0 Ready to start TLS
C: EHLO client.example
S~ 250 mx.example.org
! auth fail
C: AUTH OAUTHBEARER bixhPWFsaWNlLAFhdXRoPUJlYXJlciB0b2tlbgEB
S: 334 eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIiwic2NoZW1lcyI6ImJlYXJlciJ9
C: AQ==
S: 535 5.7.8 Authentication credentials invalid
! auth fail
C: AUTH OAUTHBEARER bixhPWFsaWNlLAFhdXRoPUJlYXJlciB0b2tlbgEB
S: 334 eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIiwic2NoZW1lcyI6ImJlYXJlciJ9
C:
S: 535 5.7.8 Authentication credentials invalid
! auth fail
C: AUTH OAUTHBEARER bixhPWFsaWNlLAFhdXRoPUJlYXJlciB0b2tlbgEB
S: 334 eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIiwic2NoZW1lcyI6ImJlYXJlciJ9
C: =
S: 535 5.7.8 Authentication credentials invalid
! auth fail
C: AUTH OAUTHBEARER bixhPWFsaWNlLAFhdXRoPUJlYXJlciB0b2tlbgEB
S: 334 eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIiwic2NoZW1lcyI6ImJlYXJlciJ9
C: e30=
S: 535 5.7.8 Authentication credentials invalid
! auth fail
C: AUTH OAUTHBEARER bixhPWFsaWNlLAFhdXRoPUJlYXJlciB0b2tlbgEB
S: 334 eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIiwic2NoZW1lcyI6ImJlYXJlciJ9
C: !!
S: 535 5.7.8 Authentication credentials invalid
= nobody
! auth ok alice
C: AUTH OAUTHBEARER bixhPWFsaWNlLAFhdXRoPUJlYXJlciB0b2tlbgEB
S: 235 2.7.0 Authenticated as alice
