#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""manual.py PAGE SOURCES: mandoc warns of nothing; the page has each verb, each option of --help with its values, and each finding and
verdict that the sources name, and no other."""

import re
import subprocess
import sys
from pathlib import Path


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def compare(what, expected, found):
    if expected != found:
        sys.exit(f"{what}: missing {sorted(expected - found)}, too many {sorted(found - expected)}")


def section(page, name):
    return page.split(f".Sh {name}\n")[1].split("\n.Sh ")[0]


def options_of(verb):
    text = run("selinux-policy", verb, "--help").split("Options:\n")[1]
    return set(re.findall(r"^  (?:-\w, |    )--([a-z0-9-]+(?:=\S+)?)", text, re.MULTILINE))


def main():
    page = Path(sys.argv[1]).read_text()
    sources = "".join(path.read_text() for path in Path(sys.argv[2]).glob("*.c"))
    run("mandoc", "-Tlint", "-Wwarning", sys.argv[1])
    verbs = set(re.findall(r"^  ([a-z-]+)\b", run("selinux-policy", "--help").split("Verbs:\n")[1].split("\n\n")[0], re.MULTILINE))
    compare("verbs", verbs, set(re.findall(r"^\.It Cm ([a-z-]+)", section(page, "DESCRIPTION"), re.MULTILINE)))
    items = re.findall(r"^\.It Fl -([a-z0-9-]+)(?: Ns = Ns Ar (\S+))?", section(page, "OPTIONS"), re.MULTILINE)
    found = {name + (f"={value}" if value else "") for name, value in items}
    compare("options", set().union(*(options_of(v) for v in verbs)) | {"completion=bash|zsh|fish"}, found)
    names = {kind: set(re.findall(rf"^\.It Cm ([a-z-]+)\n{kind}:", section(page, "FINDINGS"), re.MULTILINE)) for kind in ("error", "warning")}
    for kind, flag in (("error", "true"), ("warning", "false")):
        compare(f"findings, {kind}s", set(re.findall(rf'findings_add\([^;]*?"([a-z-]+)", {flag},', sources)), names[kind])
    verdicts = set(re.findall(r'\[SELINUX_\w+\] = "([a-z-]+)"', sources))
    compare("verdicts", verdicts, set(re.findall(r"^\.It Cm ([a-z-]+)", section(page, "VERDICTS"), re.MULTILINE)))


main()
