#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""manual.py PROGRAM PAGE: mandoc warns of nothing, and the page has each verb and each option of --help with its values, and no other."""

import re
import subprocess
import sys
from pathlib import Path


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def compare(what, expected, found):
    if expected != found:
        sys.exit(f"{what}: missing {sorted(expected - found)}, too many {sorted(found - expected)}")


def options_of(program, verb):
    text = run(program, verb, "--help").split("Options:\n")[1]
    return set(re.findall(r"^  (?:-\w, |    )--([a-z0-9-]+(?:=\S+)?)", text, re.MULTILINE))


def main():
    program, page = sys.argv[1:]
    text = Path(page).read_text()
    run("mandoc", "-Tlint", "-Wwarning", page)
    verbs = set(re.findall(r"^  ([a-z-]+)\b", run(program, "--help").split("Verbs:\n")[1].split("\n\n")[0], re.MULTILINE))
    compare("verbs", verbs, set(re.findall(r"^\.It Cm ([a-z-]+)", text, re.MULTILINE)))
    items = re.findall(r"^\.It Fl -([a-z0-9-]+)(?: Ns = Ns Ar (\S+))?", text, re.MULTILINE)
    found = {name + (f"={value}" if value else "") for name, value in items}
    compare("options", set().union(*(options_of(program, v) for v in verbs)) | {"completion=bash|zsh|fish"}, found)


main()
