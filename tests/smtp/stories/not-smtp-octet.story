# Not a mail client: a first octet that is no letter is known without a line end (TLS ClientHello in clear)
server
S: 220 mx.example.org ESMTP
C- \x16\x03\x01\x02\0\x01
S: 421 4.7.0 This is a mail server and that was not SMTP
closed
