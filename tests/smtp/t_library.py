#!/usr/bin/env python3
"""libsallyport from outside: what it exports, what it wants, whether an example runs.

usage: t_library.py libsallyport.a libsallyport.so tiny-server
Sanitizer symbols are looked over: they are the build's, not the library's.
"""
import re
import smtplib
import socket
import subprocess
import sys
import time

# All the C library the protocol may want.  No socket, file, clock, thread, exit or
# environment: whoever adds one here explains it in doc/architecture.md.
WANTED = set("""
    memchr memcmp memcpy memmem memmove memset strchr strcmp strcspn strlen strncmp strstr
    strtol strtoul snprintf vsnprintf calloc realloc free explicit_bzero
    __assert_fail abort strerror strerror_r __xpg_strerror_r __errno_location
    mmap mmap64 munmap mlock madvise sysconf
    __snprintf_chk __vsnprintf_chk __memcpy_chk __memset_chk __memmove_chk __explicit_bzero_chk
    __stack_chk_fail __tls_get_addr _GLOBAL_OFFSET_TABLE_ __cxa_finalize __gmon_start__
    _ITM_deregisterTMCloneTable _ITM_registerTMCloneTable
""".split())
SANITIZER = re.compile(r"^(__asan|__ubsan|__sanitizer|__lsan|__sancov|__odr_asan)")

passed = failed = 0


def check(name, problem):
    global passed, failed
    if problem:
        failed += 1
        print(f"FAILED: {name}: {problem}")
    else:
        passed += 1


def symbols(*args):
    out = subprocess.run(["nm", *args], check=True, capture_output=True, text=True).stdout
    for line in out.splitlines():
        part = line.split()
        if len(part) >= 2 and not line.endswith(":"):
            yield part[-2], part[-1].split("@")[0]


def exports(shared):
    got = {name for kind, name in symbols("-D", "--defined-only", shared)}
    got = {n for n in got if not SANITIZER.match(n)}
    bad = {n for n in got if not re.match(r"^sp_(srv|cli|mech)_", n)}
    check("only SP_PUBLIC names are exported", sorted(bad - {"_init", "_fini"}))
    declared = set()
    for header in ("smtp.h", "server.h", "client.h"):
        text = open(f"{sys.argv[4]}/{header}").read()
        text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
        declared |= set(re.findall(r"SP_PUBLIC[^;]*?\b(sp_\w+)\(", text))
    check("every public function is there", sorted(declared - got))
    check("nothing else is", sorted(got - declared - {"_init", "_fini"}))


def wants(static):
    defined = {name for kind, name in symbols("--defined-only", static)}
    undefined = {name for kind, name in symbols("-u", static)}
    bad = {n for n in undefined - defined - WANTED if not SANITIZER.match(n)}
    check("the protocol wants no socket, file, clock or cipher", sorted(bad))


def example(program):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    run = subprocess.Popen([program, str(port), "1"], stdout=subprocess.PIPE, text=True)
    for _ in range(100):
        try:
            client = smtplib.SMTP("127.0.0.1", port, timeout=20)
            break
        except ConnectionRefusedError:
            time.sleep(0.1)
    refused = client.sendmail("a@example.net", ["b@example.org", "c@example.com"],
                              "Subject: x\r\n\r\n.dot\r\n")
    client.quit()
    out, _ = run.communicate(timeout=20)
    check("the example server refuses what is not its own",
          "" if list(refused) == ["c@example.com"] else refused)
    want = "from <a@example.net>\nSubject: x\n\n.dot\n(20 octets)\n"
    check("the example server prints what was sent",
          "" if out.replace("\r\n", "\n") == want else repr(out))
    check("the example server ends well", run.returncode)


wants(sys.argv[1])
exports(sys.argv[2])
example(sys.argv[3])
print(f"{passed} passed, {failed} failed")
sys.exit(failed != 0)
