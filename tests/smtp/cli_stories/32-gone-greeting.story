options tls=none
begin
gone EOF
failed temporary greeting 0 | EOF
close
