# lines with dots: they arrive as they are
server check=C17 message=dots
= message-faithful: delivered faithful !executed | {when}
