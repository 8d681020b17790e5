#!/usr/bin/python3
# sets: default
# timeout: 300
"""What `meson install` puts where, and that what it puts there works from there."""
from harness import *

BUILD = os.environ.get("SALLYPORT_BUILD", "")

# Below the prefix.  The libraries' folder has the machine's name in it.
FILES = {
    "bin/sallyport", "lib/systemd/system/sallyport.service",
    "include/sallyport/client.h", "include/sallyport/server.h", "include/sallyport/smtp.h", "include/sallyport/types.h",
    "share/man/man1/sallyport.1", "share/man/man3/libsallyport.3", "share/man/man5/sallyport.conf.5",
    "share/man/man5/sallyport-accounts.conf.5",
    "share/bash-completion/completions/sallyport", "share/zsh/vendor-completions/_sallyport",
    "share/doc/sallyport/sallyport.conf.example",
    "share/doc/libsallyport/examples/tiny-client.c", "share/doc/libsallyport/examples/tiny-server.c",
}
LIBRARIES = {"libsallyport.a", "pkgconfig/libsallyport.pc"}


@contextlib.contextmanager
def installed():
    if not BUILD:
        skip("needs a build folder: run it by ./run-tests")
    with work() as tmp:
        call(["meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", tmp / "root"], seconds=200)
        yield tmp / "root" / "usr/local"


@test("meson install: program, headers, library, pkg-config, manual pages, completion, unit; nothing else")
def _():
    with installed() as prefix:
        found = {str(p.relative_to(prefix)) for p in prefix.rglob("*") if not p.is_dir()}
        outside = [p for p in prefix.parent.parent.rglob("*") if not p.is_dir() and prefix not in p.parents]
        check(not outside, f"outside of the prefix: {outside}")
        libraries = {re.sub(r"^lib/[^/]+-linux-gnu/", "", f) for f in found if re.match(r"lib/[^/]+-linux-gnu/", f)}
        others = {f for f in found if not re.match(r"lib/[^/]+-linux-gnu/", f)}
        check(FILES <= others, f"missing: {sorted(FILES - others)}")
        more = {f for f in others - FILES if not f.startswith("include/sallyport/")}
        check(not more, f"not expected: {sorted(more)}")
        check(LIBRARIES <= libraries, f"libraries: {sorted(libraries)}")
        check(all(l in LIBRARIES or l.startswith("libsallyport") or l.startswith("pkgconfig/libsallyport")
                  for l in libraries), f"libraries: {sorted(libraries)}")


@test("nothing that is installed is setuid or setgid")
def _():
    with installed() as prefix:
        special = [str(p) for p in prefix.parent.parent.rglob("*") if not p.is_symlink() and p.stat().st_mode & 0o6000]
        check(not special, f"{special}")


@test("the installed unit starts the installed program; systemd finds nothing wrong with it")
def _():
    with installed() as prefix:
        unit = prefix / "lib/systemd/system/sallyport.service"
        text = unit.read_text()
        check(re.search(r"^ExecStart=/usr/local/bin/sallyport serve --config /usr/local/etc/sallyport/sallyport.conf$",
                        text, re.M), text)
        if not shutil.which("systemd-analyze"):
            skip("no systemd-analyze here")
        # The program is where the unit says only after an installation: name what is there.
        copy = prefix.parent / "sallyport.service"
        copy.write_text(text.replace("/usr/local/bin/", f"{prefix}/bin/"))
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", copy], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60)
        about = [l for l in done.stdout.splitlines() if "sallyport" in l]
        check(not about, "\n".join(about))


@test("the installed program and its completion work")
def _():
    with installed() as prefix:
        check(re.match(r"sallyport \d+\.\d+", call([prefix / "bin/sallyport", "--version"])), "--version")
        call(["bash", "-n", prefix / "share/bash-completion/completions/sallyport"])
        out = call(["bash", "-c", f". {prefix}/share/bash-completion/completions/sallyport && complete -p sallyport"])
        check("sallyport" in out, out)
        if shutil.which("mandoc"):
            for page in (prefix / "share/man").rglob("*.[135]"):
                check(call(["mandoc", "-T", "ascii", page]).strip(), f"{page} is empty")


run()
