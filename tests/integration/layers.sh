#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The tree's own rules: includes point at plugin-api only, every source says its licence, what pages link to and name
# is there, one formatter.
set -eu
: "${KILTER_SOURCE_DIR:?run this through ctest or tests/run}"
cd "$KILTER_SOURCE_DIR"

# --- includes and licences --------------------------------------------------------------------------------------
python3 - <<'END'
import os, re, sys

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(<[^>]*>|"[^"]*")', re.M)
SPDX = "SPDX-License-Identifier: Apache-2.0"
problems, looked = [], 0


def files(top):
    for folder, below, names in os.walk(top):
        below[:] = [name for name in below if name not in (".git", "build")]
        for name in names:
            yield os.path.join(folder, name)


def inside(path, top):
    return os.path.normpath(path).startswith(top + os.sep)


def home_of(path):
    """The folder that a file's own headers must be in."""
    part = path.split(os.sep)
    if part[0] in ("plugin-api", "core"):
        return part[0]
    return os.sep.join(part[:3] if part[0] == "plugins" else part[:2])


def check_include(path, line, text):
    name, home = text[1:-1], home_of(path)
    public = name.startswith("kilter/")
    if public and os.path.isfile(os.path.join("plugin-api/include", name)):
        return
    if public or text[0] == "<":
        # What is not kilter's must be the system's: no folder of the tree may be reached by its name.
        ours = [top for top in ("core", "plugin-api", "plugin-api/src", "plugins", "tests", ".")
                if os.path.isfile(os.path.join(top, name))]
        if public or ours:
            problems.append(f"{path}:{line}: includes {text}, which is no public header of plugin-api and no system header")
        return
    beside = [os.path.join(os.path.dirname(path), name)]
    if home == "core":
        beside.append(os.path.join("core", name))
    found = [place for place in beside if os.path.isfile(place)]
    if not found:
        problems.append(f"{path}:{line}: includes {text}, which is not below {home}/")
    elif not inside(found[0], home):
        problems.append(f"{path}:{line}: includes {os.path.normpath(found[0])}, which belongs to another part")


for top in ("plugin-api", "core", "plugins", "examples"):
    for path in files(top):
        if path.endswith((".c", ".h", ".cc", ".in")):
            text = open(path, encoding="utf-8", errors="replace").read()
            for match in INCLUDE.finditer(text):
                looked += 1
                check_include(path, text.count("\n", 0, match.start()) + 1, match.group(1))

sources = 0
for path in (os.path.normpath(path) for path in files(".")):
    if "corpus" in path.split(os.sep):
        continue
    with open(path, "rb") as file:
        head = file.read(1024)
    program = path.endswith((".c", ".h", ".cc", ".sh", ".py", ".cmake", "CMakeLists.txt", "Makefile"))
    if program or head.startswith(b"#!"):
        sources += 1
        if SPDX not in "\n".join(head.decode("utf-8", "replace").splitlines()[:3]):
            problems.append(f"{path}:1: no line \"{SPDX}\" at its beginning")

# --- pages: links lead somewhere, and what they name of the code is there ------------------------------------------
LINK = re.compile(r'\]\(([^)#\s]+)[^)]*\)')
NAMED = re.compile(r'`((?:kl|kilter)_[a-z0-9_]*[a-z0-9]|[\w/.-]*\w\.(?:c|h|sh))`')
code, names = set(), set()
for top in ("plugin-api", "core", "plugins", "examples", "tests"):
    for path in files(top):
        names.add(os.path.basename(path))
        if path.endswith((".c", ".h")):
            code.update(re.findall(r'\w+', open(path, encoding="utf-8", errors="replace").read()))
for path in (os.path.normpath(path) for path in files(".")):
    if not path.endswith(".md"):
        continue
    text = open(path, encoding="utf-8").read()
    for link in LINK.findall(text):
        if "://" not in link and not os.path.exists(os.path.join(os.path.dirname(path), link)):
            problems.append(f"{path}: the link to {link} leads nowhere")
    for name in NAMED.findall(text):
        if not (name in code or os.path.basename(name) in names):
            problems.append(f"{path}: names {name}, which is not there")

print("\n".join(problems))
print(f"{looked} includes and {sources} sources looked at, {len(problems)} problems")
sys.exit(1 if problems or looked < 100 or sources < 100 else 0)
END

# --- format -------------------------------------------------------------------------------------------------------
if ! command -v clang-format >/dev/null || ! clang-format --version | grep -q ' version 14\.'; then
    echo "skipped: the format, because clang-format 14 is not installed"
    exit 0
fi
find plugin-api core plugins examples tests \( -name '*.c' -o -name '*.h' -o -name '*.cc' \) -print0 |
    xargs -0 clang-format --dry-run --Werror
