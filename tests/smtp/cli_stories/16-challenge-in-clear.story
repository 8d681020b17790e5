# Challenge mechanisms are used in clear only where TLS is not required
options tls=none password=alice:secret
S 220 mail.example
C EHLO client.example
S 250-mail.example
S 250 AUTH PLAIN CRAM-MD5
C AUTH CRAM-MD5
S 334 PDEyMz4=
auth CRAM-MD5 <123>
token alice 0123456789abcdef
C YWxpY2UgMDEyMzQ1Njc4OWFiY2RlZg==
shown C [hidden]
S 235 ok
ready password
