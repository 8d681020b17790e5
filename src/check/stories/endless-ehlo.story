# the reply to EHLO does not end: the client goes away
server check=C12 limit=60
C: (tls) EHLO
! flood 400000 250-X-AND-SO-ON and so on, and on
! close
= endless-reply-read: flooded | {when}
