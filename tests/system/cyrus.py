"""cyrus.py - Cyrus SASL (libsasl2) by ctypes: an implementation of the mechanisms that shares
no line with ours or with GNU SASL, for either end of a connection.

    c = Client("SCRAM-SHA-256-PLUS", "alice", "secret", binding=("tls-exporter", octets))
    first = c.start()                  # None: the server speaks first
    token, done = c.step(challenge)

    s = Server(folder, "alice", "secret", binding=None)
    token, done = s.start("SCRAM-SHA-1", initial)
    token, done = s.step(response)     # Refused: wrong password, wrong binding ...

A binding of critical=False is one that this side could use and does not insist on.  The
users of the server stand in a sasldb below its folder (saslpasswd2, package sasl2-bin)."""
import ctypes, ctypes.util, os
from ctypes import (CFUNCTYPE, POINTER, Structure, byref, c_char_p, c_int, c_ubyte, c_uint, c_ulong,
                    c_void_p, cast, string_at)

from harness import call, skip

OK, CONTINUE, INTERACT = 0, 1, 2
CB_GETOPT, CB_USER, CB_AUTHNAME, CB_PASS, CB_GETREALM, CB_END = 1, 0x4001, 0x4002, 0x4004, 0x4008, 0
CHANNEL_BINDING = 21


class Refused(Exception):
    pass


class Callback(Structure):
    _fields_ = [("id", c_ulong), ("proc", c_void_p), ("context", c_void_p)]


class Secret(Structure):
    _fields_ = [("len", c_ulong), ("data", c_ubyte * 256)]


class Binding(Structure):
    _fields_ = [("name", c_char_p), ("critical", c_int), ("len", c_ulong), ("data", c_char_p)]


SIMPLE = CFUNCTYPE(c_int, c_void_p, c_int, POINTER(c_char_p), POINTER(c_uint))
PASS = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, POINTER(POINTER(Secret)))
GETOPT = CFUNCTYPE(c_int, c_void_p, c_char_p, c_char_p, POINTER(c_char_p), POINTER(c_uint))

_lib, _begun, _options = None, set(), {}


def version():
    text = c_char_p()
    number = c_int()
    lib().sasl_version(byref(text), byref(number))
    return "%d.%d.%d" % (number.value >> 24 & 255, number.value >> 16 & 255, number.value & 0xffff)


def lib():
    global _lib
    if not _lib:
        try:
            _lib = ctypes.CDLL("libsasl2.so.2")
        except OSError:
            skip("Cyrus SASL is not installed")
        _lib.sasl_errdetail.restype = c_char_p
        _lib.sasl_dispose.argtypes = [POINTER(c_void_p)]
    return _lib


def _callbacks(*rows):
    table = (Callback * (len(rows) + 1))()
    for i, (number, function) in enumerate(rows):
        table[i] = Callback(number, cast(function, c_void_p), None)
    table[len(rows)] = Callback(CB_END, None, None)
    return table


class _Side:
    def __init__(self):
        self.conn = c_void_p()

    def bind(self, binding, critical):
        if binding:
            self.name, self.data = binding[0].encode(), binding[1]
            self.binding = Binding(self.name, 1 if critical else 0, len(self.data), self.data)
            lib().sasl_setprop(self.conn, CHANNEL_BINDING, byref(self.binding))

    def detail(self, rc):
        return Refused("Cyrus SASL %d: %s" % (rc, (lib().sasl_errdetail(self.conn) or b"").decode(errors="replace")))

    def close(self):
        lib().sasl_dispose(byref(self.conn))


class Client(_Side):
    def __init__(self, mechanism, user, password, binding=None, critical=True, host="localhost", authzid=""):
        super().__init__()
        self.user, self.authzid, self.password = user.encode(), authzid.encode(), Secret()
        self.password.len = len(password.encode())
        ctypes.memmove(self.password.data, password.encode(), self.password.len)

        def simple(_, number, out, n):
            out[0] = self.authzid if number == CB_USER else self.user
            if n:
                n[0] = len(out[0])
            return OK

        def secret(_conn, _context, _number, out):
            out[0] = ctypes.pointer(self.password)
            return OK
        self.keep = SIMPLE(simple), PASS(secret)
        self.table = _callbacks((CB_USER, self.keep[0]), (CB_AUTHNAME, self.keep[0]), (CB_PASS, self.keep[1]))
        if "client" not in _begun:
            lib().sasl_client_init(None)
            _begun.add("client")
        rc = lib().sasl_client_new(b"smtp", host.encode(), None, None, self.table, 0, byref(self.conn))
        if rc:
            raise self.detail(rc)
        self.bind(binding, critical)
        self.mechanism = mechanism

    def start(self):
        out, n, used = c_void_p(), c_uint(), c_char_p()
        rc = lib().sasl_client_start(self.conn, self.mechanism.encode(), None, byref(out), byref(n), byref(used))
        if rc not in (OK, CONTINUE):
            raise self.detail(rc)
        self.used = used.value.decode()
        return string_at(out, n.value) if out.value else None

    def step(self, challenge):
        out, n = c_void_p(), c_uint()
        rc = lib().sasl_client_step(self.conn, challenge, len(challenge), None, byref(out), byref(n))
        if rc not in (OK, CONTINUE):
            raise self.detail(rc)
        return string_at(out, n.value) if out.value else b"", rc == OK


class Server(_Side):
    def __init__(self, folder, user, password, binding=None, critical=False, host="localhost"):
        super().__init__()
        path = os.path.join(str(folder), "sasldb")
        if not os.path.exists(path):
            call(["saslpasswd2", "-p", "-c", "-f", path, "-u", host, user], stdin=password.encode())
        _options.update({b"auxprop_plugin": b"sasldb", b"sasldb_path": path.encode(), b"log_level": b"0"})
        if "server" not in _begun:
            Server.getopt = GETOPT(lambda _c, _p, name, out, n: self.option(name, out, n))
            Server.table = _callbacks((CB_GETOPT, Server.getopt))
            lib().sasl_server_init(Server.table, b"sallyport-test")
            _begun.add("server")
        rc = lib().sasl_server_new(b"smtp", host.encode(), host.encode(), None, None, None, 0, byref(self.conn))
        if rc:
            raise self.detail(rc)
        self.bind(binding, critical)

    @staticmethod
    def option(name, out, n):
        if name not in _options:
            return -1
        out[0] = _options[name]
        if n:
            n[0] = len(_options[name])
        return OK

    def _result(self, rc, out, n):
        if rc not in (OK, CONTINUE):
            raise self.detail(rc)
        return (string_at(out, n.value) if out.value else None), rc == OK

    def start(self, mechanism, initial):
        out, n = c_void_p(), c_uint()
        rc = lib().sasl_server_start(self.conn, mechanism.encode(), initial, len(initial or b""), byref(out), byref(n))
        return self._result(rc, out, n)

    def step(self, response):
        out, n = c_void_p(), c_uint()
        rc = lib().sasl_server_step(self.conn, response, len(response), byref(out), byref(n))
        return self._result(rc, out, n)
