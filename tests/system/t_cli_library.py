#!/usr/bin/python3
# sets: default
# timeout: 900
"""libsallyport as a stranger meets it: installed into a folder, found by pkg-config alone,
shared and static, from C11 and C++; its manual page names what its headers have."""
import functools, shlex, tempfile
from harness import *

INCLUDE = ROOT / "include" / "sallyport"
LIBRARIES = {"libsallyport": ["smtp.h", "server.h", "client.h"], "libsallyport-sasl": ["sasl.h"]}
WARN = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-Wno-missing-field-initializers"]
C = ["cc", "-std=c11", "-D_POSIX_C_SOURCE=200809L", *WARN]
CXX = ["c++", "-std=c++20", *WARN, "-x", "c++"]
MESSAGE = b"Subject: from a stranger\r\n\r\n.a dot, then\r\nthe end\r\n"


def prototypes(header):
    """name: (returns, [arguments]) of what a header makes public."""
    text = re.sub(r"/\*.*?\*/", "", (INCLUDE / header).read_text(), flags=re.S)
    found = {}
    for hit in re.finditer(r"SP_PUBLIC\s([^;]*?)\b(sp_\w+)\((.*?)\)(?:\s*SP_PRINTF[^;]*)?;", text, re.S):
        found[hit[2]] = (" ".join(hit[1].split()), [" ".join(a.split()) for a in hit[3].split(",")])
    return found


@functools.lru_cache(maxsize=1)
def installed():
    """Where it was installed: built once, as a user would, without sanitizers."""
    for tool in ["meson", "ninja", "pkg-config", "cc"]:
        if not shutil.which(tool):
            skip(f"{tool} is missing")
    folder = Path(tempfile.mkdtemp(prefix="t-library-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    build, dest = folder / "build", folder / "dest"
    call(["meson", "setup", build, ROOT, "--buildtype=plain", "--prefix=/usr", "--libdir=lib"], seconds=300)
    targets = call(["ninja", "-C", build, "-t", "targets", "all"])
    wanted = re.findall(r"^(src/\S+/libsallyport(?:-sasl)?\.(?:a|so[.\d]*)): ", targets, re.M)
    call(["ninja", "-C", build, *sorted(set(wanted))], seconds=600)
    call(["meson", "install", "-C", build, "--no-rebuild", "--destdir", dest, "--tags", "devel"], seconds=120)
    return dest


def flags(library, *argv):
    dest = installed()
    return shlex.split(call(["pkg-config", *argv, library], env={
        "PKG_CONFIG_PATH": str(dest / "usr/lib/pkgconfig"), "PKG_CONFIG_SYSROOT_DIR": str(dest)}))


def build(tmp, compiler, source, name, static=False, library="libsallyport"):
    how = ["-static"] if static else []
    with_ = flags(library, *(["--static"] if static else []), "--cflags", "--libs")
    # the language of -x counts for what follows: libraries come after -x none
    libs = [f for f in with_ if f.startswith("-l")]
    rest = [f for f in with_ if not f.startswith("-l")]
    call([*compiler, *rest, *how, source, "-x", "none", "-o", tmp / name, *libs], seconds=120)
    return tmp / name


def play(client, server):
    env = {"LD_LIBRARY_PATH": str(installed() / "usr/lib")}
    port = free_port()
    p = subprocess.Popen([server, str(port), "2"], stdout=subprocess.PIPE, env={**os.environ, **env})
    try:
        # a connection that only looks counts for one of the two
        wait_until(lambda: port_open(port), 20, "the example server")
        said = call([client, "smtp", str(port), "a@x.example", "b@example.org"], stdin=MESSAGE, env=env)
        out, _ = p.communicate(timeout=20)
    finally:
        p.kill()
        p.wait()
    check(said == "", said)
    check(out == b"from <a@x.example>\n" + MESSAGE + b"(%d octets)\n" % len(MESSAGE), repr(out))


@test("what is installed for developers: headers, both kinds of library, pkg-config files")
def _():
    dest = installed()
    found = {str(p.relative_to(dest)) for p in dest.rglob("*") if not p.is_dir()}
    for name in LIBRARIES:
        for path in [f"usr/lib/{name}.a", f"usr/lib/{name}.so", f"usr/lib/{name}.so.0", f"usr/lib/pkgconfig/{name}.pc"]:
            check(path in found, f"{path} is missing: {sorted(found)}")
    headers = {p.name for p in INCLUDE.glob("*.h")}
    check({Path(f).name for f in found if f.startswith("usr/include/sallyport/")} == headers, str(sorted(found)))
    version = call(["meson", "introspect", "--projectinfo", ROOT / "meson.build"])
    for name in LIBRARIES:
        check(f'"{flags(name, "--modversion")[0]}"' in version, "the version")


@test("both examples: C11 and C++, shared and static, with nothing but pkg-config; they talk")
def _():
    with work() as tmp:
        for language, compiler in [("c", C), ("cxx", CXX)]:
            if not shutil.which(compiler[0]):
                skip(f"{compiler[0]} is missing")
            for static in [False, True]:
                pair = [build(tmp, compiler, ROOT / "examples" / f"tiny-{what}.c",
                              f"{what}-{language}-{static}", static) for what in ("client", "server")]
                play(*pair)
                needs = call(["readelf", "-d", pair[0]])
                check(("libsallyport.so.0" in needs) != static, needs)


@test("each header stands alone, in C11 and in C++11, and C++ finds the functions")
def _():
    with work() as tmp:
        names = sorted(p.name for p in INCLUDE.glob("*.h"))
        include = flags("libsallyport", "--cflags")
        for name in names:
            (tmp / "x.c").write_text(f"#include <sallyport/{name}>\n#include <sallyport/{name}>\nint x;\n")
            call([*C, *include, "-c", tmp / "x.c", "-o", tmp / "x.o"])
            call(["c++", "-std=c++11", *WARN, "-x", "c++", *include, "-c", tmp / "x.c", "-o", tmp / "x.o"])
        for library, headers in LIBRARIES.items():
            used = [n for h in headers for n in prototypes(h)]
            (tmp / "all.cc").write_text("".join(f"#include <sallyport/{h}>\n" for h in headers)
                                        + "typedef void (*any)();\nany all[] = {\n"
                                        + "".join(f"    (any){n},\n" for n in used)
                                        + "};\nint main() { return all[0] == nullptr; }\n")
            program = build(tmp, ["c++", "-std=c++11", "-x", "c++"], tmp / "all.cc", "all", library=library)
            call([program], env={"LD_LIBRARY_PATH": str(installed() / "usr/lib")})


@test("a shared library exports what its headers make public and nothing else")
def _():
    for library, headers in LIBRARIES.items():
        out = call(["nm", "-D", "--defined-only", installed() / f"usr/lib/{library}.so"])
        got = {line.split()[-1].split("@")[0] for line in out.splitlines()}
        want = {n for h in headers for n in prototypes(h)}
        check(got == want, f"{library}: too many {sorted(got - want)}, missing {sorted(want - got)}")
        undefined = call(["nm", "-D", "--undefined-only", installed() / f"usr/lib/{library}.so"])
        check(not re.search(r" U sp_", undefined), undefined)


@test("challenge mechanisms come by libsallyport-sasl, shared and static")
def _():
    with work() as tmp:
        (tmp / "s.c").write_text("""
            #include <sallyport/sasl.h>
            #include <string.h>
            int main(void)
            {
                struct sp_str name = {"SCRAM-SHA-256", 13}, none = {NULL, 0}, out = {NULL, 0};
                struct sp_sasl_client_opts o = {.user = {"u", 1}, .password = {"p", 1}};
                struct sp_sasl *s;

                if (!sp_sasl_known(name) || sp_sasl_client_new(name, &o, &s, NULL) < 0)
                    return 1;
                if (sp_sasl_step(s, none, &out) != SP_SASL_CONTINUE || memcmp(out.p, "n,,n=u,r=", 9) != 0)
                    return 2;
                sp_sasl_free(s);
                return 0;
            }
        """)
        for static in [False, True]:
            program = build(tmp, C, tmp / "s.c", "s", static, "libsallyport-sasl")
            call([program], env={"LD_LIBRARY_PATH": str(installed() / "usr/lib")})


def man_prototypes(text):
    found, returns = {}, None
    for line in text.splitlines():
        if line.startswith(".Ft "):
            returns = line[4:]
        elif line.startswith(".Fn ") and returns:
            name, _, rest = line[4:].partition(" ")
            found[name] = (returns, re.findall(r'"([^"]*)"', rest))
            returns = None
    return found


def compare(page):
    want = {n: p for hs in LIBRARIES.values() for h in hs for n, p in prototypes(h).items()}
    got = man_prototypes(page)
    described = set(re.findall(r"^\.It Fn (\w+)", page, re.M))
    return [f"{n}: {got.get(n)} in the page, {want.get(n)} in the header" for n in sorted({*got, *want})
            if got.get(n) != want.get(n)] + [f"{n} is not described" for n in sorted(set(want) ^ described)]


@test("libsallyport(3) has every public function as its header has it, and describes it")
def _():
    page = (ROOT / "man" / "libsallyport.3").read_text()
    check(len(man_prototypes(page)) > 80, "the page has no functions")
    check(compare(page) == [], "\n".join(compare(page)))
    # and this comparison can fail
    for old, new in [('"size_t len"', '"int len"'), (".Ft bool", ".Ft int"), (".It Fn sp_srv_feed", ".It Fn sp_srv_fed"),
                     ("\n.Fn sp_cli_noop", "\n.Fn sp_cli_nop")]:
        check(old in page and compare(page.replace(old, new, 1)), f"{old} → {new} is not noticed")


@test("the examples are as small as they say: about 60 and 100 lines of code")
def _():
    for name, most in [("tiny-client.c", 72), ("tiny-server.c", 112)]:
        lines = (ROOT / "examples" / name).read_text().splitlines()
        code = [l for l in lines if l.strip() and not re.match(r"\s*(/\*|\*|//)", l)]
        check(len(code) <= most, f"{name}: {len(code)} lines")
        check(max(map(len, lines)) <= 88, f"{name} has long lines")


run()
