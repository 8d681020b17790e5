# response splitting: a reply to nothing
options tls=none
use in-plain
S 250 ok
failed peer MAIL 250 | reply to nothing that we said
close
