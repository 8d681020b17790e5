# a port that speaks something else
options tls=none
S SSH-2.0-OpenSSH_9.2
failed peer greeting 0 | "SSH-2.0-OpenSSH_9.2"; is this the right port?
close
