# an ordinary submission: the message arrives, and nothing odd is said
server check=C01
= ordinary-delivered: tls delivered !text-clear !failure
= starttls-not-used: mail-clear !tls
= no-quit: delivered !quit
= helo-after-starttls: helo-tls !ehlo-tls
