options tls=none
S 421 4.3.2 shutting down
failed temporary greeting 421 | shutting down
close
