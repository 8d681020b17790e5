"""idle.py - sessions that log in and then only wait, for scenario E of bench/compare.

    idle.py PORT CA USER PASSWORD-FILE COUNT

One after the other, STARTTLS and AUTH PLAIN; prints "ready" and holds them until its
standard input ends.
"""
import base64, resource, socket, ssl, sys


def said(f, code):
    """A whole reply, which must begin with this code."""
    while True:
        line = f.readline()
        if line[:3] != code or not line:
            sys.exit(f"idle: {line!r} in place of {code.decode()}")
        if line[3:4] != b"-":
            return


def session(port, context, secret):
    s = socket.create_connection(("127.0.0.1", port), 60)
    f = s.makefile("rb")
    said(f, b"220")
    for line, code in ((b"EHLO idle.test", b"250"), (b"STARTTLS", b"220")):
        s.sendall(line + b"\r\n")
        said(f, code)
    f.close()
    s = context.wrap_socket(s, server_hostname="127.0.0.1")
    f = s.makefile("rb", buffering=4096)
    for line, code in ((b"EHLO idle.test", b"250"), (b"AUTH PLAIN " + secret, b"235")):
        s.sendall(line + b"\r\n")
        said(f, code)
    return s, f


def main():
    port, ca, user, password_file, count = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with open(password_file) as f:
        password = f.readline().rstrip("\n")
    secret = base64.b64encode(f"\0{user}\0{password}".encode())
    context = ssl.create_default_context(cafile=ca)
    held = [session(int(port), context, secret) for _ in range(int(count))]
    print("ready", flush=True)
    sys.stdin.read()
    del held


main()
