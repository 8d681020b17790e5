#!/usr/bin/python3
# sets: analysis
# timeout: 3000
"""gcc -fanalyzer follows the paths through each function of src/: what it says was read once
and either mended or found to be wrong (judged/analyzer.txt says why)."""
from trees import *

@test("gcc -fanalyzer says nothing about src/ that was not read and judged")
def _():
    compare("analyzer", analysed())


@test("a file with a leak and a use after free in it is noticed")
def _():
    with work() as tmp:
        (tmp / "bad.c").write_text("#include <stdlib.h>\nint bad(void);\nint bad(void)\n{\n"
                                   "    int *p = malloc(4);\n    if (!p)\n        return 0;\n    free(p);\n"
                                   "    return *p;\n}\n")
        done = subprocess.run(["gcc", "-fanalyzer", "-S", "-o", "/dev/null", tmp / "bad.c"], capture_output=True, text=True)
        check("analyzer-use-after-free" in done.stderr, done.stderr)


run()
