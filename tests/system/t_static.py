#!/usr/bin/python3
# sets: default
# timeout: 300
"""What can be known without running it: cppcheck has nothing to say about the sources, and
the program and the library were built so that a fault is hard to use."""
import sys
from harness import *
sys.path.insert(0, str(HERE.parent / "analysis"))
from trees import ROOT, analysed, compare

BUILD = os.environ.get("SALLYPORT_BUILD", "")


# What cppcheck does not find in headers of the system and takes for nonsense.
MACROS = "#define json_array_foreach(a, i, v) for (i = 0; (v = json_array_get(a, i)); i++)\n"


def cppcheck(*files):
    folders = [f for f in (ROOT / "include", *sorted((ROOT / "src").iterdir())) if f.is_dir()]
    with work() as tmp:
        (tmp / "macros.h").write_text(MACROS)
        return call(["cppcheck", "--quiet", "--std=c11", "--enable=warning,portability,performance",
                     "--suppress=missingInclude", "-j2", "-D_GNU_SOURCE", f"--include={tmp}/macros.h",
                     *[f"-I{f}" for f in folders], "--template={file}:{line}: {id}: {message}", *files])


@test("cppcheck has nothing to say")
def _():
    said = cppcheck(ROOT / "src", ROOT / "examples")
    check(not said.strip(), said)


# All of src/ takes minutes: ./run-tests analysis.
STRANGERS = ("base", "smtp", "sasl", "ipc")


@test("gcc -fanalyzer says nothing about what reads strangers' octets that was not read and judged")
def _():
    compare("analyzer", analysed(*STRANGERS), *STRANGERS)


@test("cppcheck would have said it")
def _():
    with work() as tmp:
        (tmp / "f.c").write_text("int f(void);\nint f(void)\n{\n    int *p = 0;\n\n    return *p;\n}\n")
        check("nullPointer" in cppcheck(tmp / "f.c"), "an error that is there is not found")


CHECKED = "unsafe calls are replaced by checked ones"


def facts(file):
    """What the file says of how it was built."""
    head, dynamic, program, symbols = (
        call(["readelf", "--wide", option, file]) for option in ("-h", "-d", "-l", "-s"))
    stack = re.search(r"GNU_STACK.*?(R\S*)\s+0x", program)
    return {
        "position independent": bool(re.search(r"Type:\s+DYN", head)),
        "addresses are read-only once they are known": "GNU_RELRO" in program and
            bool(re.search(r"BIND_NOW|FLAGS_1.*NOW", dynamic)),
        "the stack is no program": bool(stack) and "E" not in stack[1],
        "no memory is both written and run": not re.search(r"LOAD.*RWE", program),
        "overwritten stacks are noticed": "__stack_chk_fail" in symbols,
        "libraries are looked for where the system has them": not re.search(r"(RPATH|RUNPATH).*\[(?!/usr/lib/)", dynamic),
        CHECKED: len(set(re.findall(r"__\w+_chk(?=@GLIBC)", symbols))) > 3,
    }


def hardened(file, release):
    # The sanitizers check these calls themselves.
    lacks = [what for what, true in facts(file).items() if not true and (release or what != CHECKED)]
    check(not lacks, f"{file}: not so: {lacks}")


def sanitized(file):
    return "libasan" in call(["ldd", file])


@test("the program is hardened")
def _():
    need_server()
    hardened(SALLYPORT, release=not sanitized(SALLYPORT))


@test("a program that is not hardened is seen")
def _():
    with work() as tmp:
        (tmp / "f.c").write_text("#include <stdio.h>\nint main(void)\n{\n    char b[99];\n\n    return !fgets(b, 9, stdin);\n}\n")
        call(["gcc", "-no-pie", "-fno-stack-protector", "-Wl,-z,norelro,-z,execstack,-rpath,/tmp",
              "-o", tmp / "f", tmp / "f.c"])
        found = facts(tmp / "f")
        check(not any(v for k, v in found.items() if "written and run" not in k), found)


run()
