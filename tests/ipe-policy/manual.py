#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""manual.py PAGE README: mandoc warns of nothing, the page has each verb and each option of --help with its values and no other, and
page and README have every code of lint with its severity."""

import json
import re
import subprocess
import sys
from pathlib import Path


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def compare(what, expected, found):
    if expected != found:
        sys.exit(f"{what}: missing {sorted(expected - found)}, too many {sorted(found - expected)}")


def options_of(verb):
    text = run("ipe-policy", verb, "--help").split("Options:\n")[1]
    return set(re.findall(r"^  (?:-\w, |    )--([a-z0-9-]+(?:=\S+)?)", text, re.MULTILINE))


def main():
    page, readme = (Path(p).read_text() for p in sys.argv[1:])
    run("mandoc", "-Tlint", "-Wwarning", sys.argv[1])
    verbs = re.findall(r"^  ([a-z-]+)\b", run("ipe-policy", "--help").split("Verbs:\n")[1].split("\n\n")[0], re.MULTILINE)
    compare("verbs", set(verbs), set(re.findall(r"^\.It Cm ([a-z-]+)", page, re.MULTILINE)))
    options = set().union(*(options_of(v) for v in verbs))
    items = re.findall(r"^\.It Fl -([a-z0-9-]+)((?: Ns .*?)?)(?: , .*)?$", page, re.MULTILINE)
    found = {name + "".join(re.sub(r"\b(Ns|Ar|Op)\b", " ", rest).split()) for name, rest in items} - {"completion=bash|zsh|fish"}
    compare("options", {re.sub(r"[\[\]]", "", o) for o in options}, found)
    Path("empty.ipe").write_text("")
    sarif = json.loads(subprocess.run(["ipe-policy", "lint", "empty.ipe", "--format=sarif"], capture_output=True, check=False).stdout)
    names = {"note": "info"}
    rules = sarif["runs"][0]["tool"]["driver"]["rules"]
    codes = {(r["id"], names.get(r["defaultConfiguration"]["level"], r["defaultConfiguration"]["level"])) for r in rules}
    compare("codes of the page", codes, set(re.findall(r"^\.It (IPE\d+)\n(\w+):", page, re.MULTILINE)))
    compare("codes of the README", codes, set(re.findall(r"^\| (IPE\d+) \| (\w+) \|", readme, re.MULTILINE)))


main()
