#!/usr/bin/env python3
"""embed.py STORY... - the stories as a C array, for grade_case.c."""
import os, sys

print('/* Made from stories/ by embed.py. */\n#include "grade_i.h"\n')
print("const struct grade_builtin grade_builtin[] = {")
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as f:
        lines = f.read().splitlines()
    print(f'    {{"{os.path.basename(path)}",')
    for line in lines:
        text = line.replace("\\", "\\\\").replace('"', '\\"').replace("?", "\\?")
        print(f'     "{text}\\n"')
    print("    },")
print("};\nconst size_t grade_builtins = sizeof grade_builtin / sizeof *grade_builtin;")
