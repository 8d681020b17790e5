# the server waits for a TLS ClientHello
options tls=required
begin
expired
failed temporary greeting 0 | port 465
close
