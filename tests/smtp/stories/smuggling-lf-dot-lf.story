# SMTP smuggling (CVE-2023-51764): LF . LF is not the end; read to the true end, then 554 5.6.0
server no-login
S: 220 mx.example.org ESMTP
C: EHLO client.example
S~ 250 mx.example.org
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
C: RCPT TO:<bob@example.net>
S: 250 2.1.5 Recipient ok
C: DATA
S: 354 Send the message, end it with a line that holds a dot alone
C- Subject: x\r\n\r\nhi\n.\nMAIL FROM:<evil@example.org>\r\nRCPT TO:<v@example.net>\r\nDATA\r\nspoof\r\n.\r\n
S: 554 5.6.0 bare LF in line 3; send CRLF
= note message-bad
= abort
= never end
open
C: MAIL FROM:<alice@example.org>
S: 250 2.1.0 Sender ok
