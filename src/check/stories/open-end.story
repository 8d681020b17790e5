# no line end at the end of the message: it is completed
server check=C17 message=open-end
= message-faithful: delivered faithful | {when}
