# the greeting does not end: the client goes away
server check=C12 limit=60
C: <connect>
! flood 400000 220-and so on, and so on, and on
! close
= endless-reply-read: flooded | {when}
