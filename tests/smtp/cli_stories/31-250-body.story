# 250 before the final dot is no acceptance
options tls=none
use in-plain
use data
give line\r\n
C line
S 250 2.0.0 queued
sent refused DATA 250: 250-
failed peer DATA 250 | reply to nothing that we said
close
