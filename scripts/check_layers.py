#!/usr/bin/env python3
"""Checks that #include lines follow the arrows between the folders, as README.md draws them.

usage: check_layers.py [--self-test]

Prints each violation as FILE:LINE: TEXT and exits with 1 if there is one. --self-test feeds the
check good and bad includes instead and fails if it misjudges one.
"""

import fnmatch
import pathlib
import re
import sys

# Which folders a folder may include from; `octavo` is the public header. No entry: any.
LAYERS = {
    "include": set(),
    "jit": {"jit"},
    "quant": {"quant", "octavo"},
    "kernels": {"kernels", "jit", "quant"},
    "dispatch": {"dispatch", "kernels", "jit", "quant", "octavo"},
}
FOLDERS = [*LAYERS, "tests", "perf"]

# Which files may include which headers of other projects.
OTHERS = {
    "xbyak/*": ["jit/*", "tests/*", "perf/*"],
    "cpuinfo.h": ["dispatch/cpu.*"],
    "pthreadpool.h": ["dispatch/threads.*"],
    "dnnl*": ["perf/peer_*"],
    "oneapi/dnnl/*": ["perf/peer_*"],
    "gtest/*": ["tests/*"],
    "gmock/*": ["tests/*"],
    "benchmark/*": ["perf/*"],
    "CLI/*": ["perf/*"],
    "fmt/*": ["tests/*", "perf/*"],
    "nlohmann/*": ["tests/*", "perf/*"],
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def violation(file, line):
    """Why `line` must not stand in `file` (a path from the root), or None."""
    match = INCLUDE.match(line)
    if not match:
        return None
    bracket, header = match.groups()
    for pattern, users in OTHERS.items():
        if fnmatch.fnmatchcase(header, pattern):
            if any(fnmatch.fnmatchcase(file, user) for user in users):
                return None
            return f"{header} belongs in {' or '.join(users)}"
    layer = file.split("/")[0]
    if layer not in LAYERS:
        return None
    target = header.split("/")[0]
    if target in {*FOLDERS, "octavo"}:
        return None if target in LAYERS[layer] else f"{layer}/ must not include {target}/"
    if layer == "include" and header not in {"stddef.h", "stdint.h"}:
        return "the public header depends on nothing"
    return "write the path from the root" if bracket == '"' else None


def check(root):
    found = 0
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix not in {".h", ".cc", ".c"}:
                continue
            file = path.relative_to(root).as_posix()
            for number, line in enumerate(path.read_text().splitlines(), 1):
                if why := violation(file, line):
                    print(f"{file}:{number}: {line.strip()}  ({why})")
                    found += 1
    return found


def self_test():
    good = [
        ("jit/a.cc", "#include <xbyak/xbyak.h>"),
        ("kernels/a.cc", '#include "jit/assembler.h"'),
        ("dispatch/a.cc", '#include "octavo/octavo.h"'),
        ("dispatch/cpu.cc", "#include <cpuinfo.h>"),
        ("quant/a.cc", "#include <cmath>"),
        ("tests/a.cc", '#include "kernels/table.h"'),
        ("tests/a.cc", "#include <gtest/gtest.h>"),
        ("perf/peer_onednn.cc", "#include <dnnl.hpp>"),
        ("include/octavo/octavo.h", "#include <stdint.h>"),
    ]
    bad = [
        ("jit/a.h", '#include "kernels/table.h"'),
        ("quant/a.cc", '#include "jit/isa.h"'),
        ("kernels/a.cc", '  #  include "dispatch/cpu.h"'),
        ("kernels/a.cc", "#include <octavo/octavo.h>"),
        ("kernels/a.cc", "#include <xbyak/xbyak.h>"),
        ("dispatch/plan.cc", "#include <cpuinfo.h>"),
        ("dispatch/cpu.cc", "#include <pthreadpool.h>"),
        ("dispatch/a.cc", '#include "tests/harness.h"'),
        ("dispatch/a.cc", '#include "plan.h"'),
        ("dispatch/a.cc", "#include <fmt/core.h>"),
        ("perf/main.cc", "#include <oneapi/dnnl/dnnl.h>"),
        ("include/octavo/octavo.h", "#include <stdio.h>"),
        ("include/octavo/octavo.h", '#include "quant/types.h"'),
    ]
    wrong = [f"refused: {f}: {i}" for f, i in good if violation(f, i)]
    wrong += [f"missed: {f}: {i}" for f, i in bad if not violation(f, i)]
    print("\n".join(wrong) if wrong else f"{len(good) + len(bad)} includes judged rightly")
    return len(wrong)


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(1 if self_test() else 0)
    if sys.argv[1:]:
        sys.exit(__doc__)
    sys.exit(1 if check(pathlib.Path(__file__).resolve().parent.parent) else 0)
