#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""tests/vm/run.py [NAME…]: starts test guests and judges the TAP that they print.

Each folder of tests/vm with a guest.py is one suite: its run(suite) builds what it needs in suite.work, starts a machine and
hands its TAP to suite.collect(), or judges from outside with suite.check(). A failed check, a missing or short plan, and a guest
that ends early are failures."""

import argparse
import fcntl
import importlib.util
import re
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
TOP = HERE.parents[1]
sys.path[:0] = [str(TOP / "image"), str(HERE)]

from machine import MachineError  # noqa: E402

LINE = re.compile(r"^(ok|not ok)\s+(\d+)\s*(?:-\s*)?([^#]*?)\s*(?:#\s*(.*))?$")
PLAN = re.compile(r"^1\.\.(\d+)\s*$")


class Tap:
    """Reads TAP line by line and hands every check to a suite."""

    def __init__(self, suite):
        self.suite = suite
        self.seen, self.plan, self.problem, self.done = 0, None, "", 0

    def feed(self, text):
        """The whole text so far; a last line without its end is left for the next call. Returns whether there was news."""
        end = text.rfind("\n") + 1
        news = end > self.done
        for line in text[self.done:end].split("\n"):
            self.line(line.strip())
        self.done = end
        return news

    def line(self, line):
        if match := LINE.match(line):
            self.seen += 1
            right = int(match[2]) == self.seen
            self.suite.check(match[3], match[1] == "ok" and right,
                             (match[4] or "") + ("" if right else f" check {self.seen} expected, found number {match[2]}"))
        elif match := PLAN.match(line):
            self.plan = int(match[1])
        elif line.startswith("Bail out!"):
            self.problem = line

    def finished(self):
        return bool(self.problem) or (self.plan is not None and self.seen >= self.plan)

    def judge(self, who, detail=""):
        """The closing check: a plan, and as many checks as it says."""
        whole = self.plan is not None and self.seen == self.plan > 0 and not self.problem
        self.suite.check(f"{who} ran all its checks ({self.seen} of {'no plan' if self.plan is None else self.plan})", whole,
                         "" if whole else f"{self.problem or 'too few checks or no plan'}{detail}")


class Suite:
    """The checks of one guest. work is its directory below build/vm-tests; full asks for the long campaign too."""

    def __init__(self, name, work, arguments):
        self.name, self.work, self.show_records, self.full = name, work, arguments.records, arguments.full
        self.passed = self.failed = 0
        self.last = time.monotonic()

    def check(self, name, ok, detail=""):
        now = time.monotonic()
        if sys.stderr.isatty():
            sys.stderr.write("\r\033[K")
        print(f"{'ok  ' if ok else 'FAIL'} {now - self.last:6.2f} s  {self.name}: {name}", flush=True)
        if detail and (self.show_records or not ok):
            print(f"                 {detail}", flush=True)
        self.last = now
        self.passed, self.failed = self.passed + ok, self.failed + (not ok)

    def collect(self, machine, log, timeout):
        """Reads TAP from a log of the machine until it ends, powers off or the time is over."""
        deadline = time.monotonic() + timeout
        tap = Tap(self)
        while not tap.finished():
            alive = machine.running()
            log.poll()
            if tap.feed(log.text):
                continue
            if not alive:
                tap.problem = f"the machine ended ({machine.end_reason()})"
            elif time.monotonic() > deadline:
                tap.problem = f"still running after {timeout:.0f} s"
            time.sleep(0.02)
        tap.judge("the guest", f"; last serial lines:\n{machine.serial.tail()}")

    def judge(self, who, text):
        """The same for TAP that is there as a whole."""
        tap = Tap(self)
        tap.feed(text)
        tap.judge(who)


def suites():
    return sorted(p.parent.name for p in HERE.glob("*/guest.py"))


def load(name):
    sys.path.insert(0, str(HERE / name))
    spec = importlib.util.spec_from_file_location(f"guest_{name}", HERE / name / "guest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main():
    parser = argparse.ArgumentParser(description="Starts test guests and judges the TAP that they print.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"suites to run (default: all): {', '.join(suites())}")
    parser.add_argument("--list", action="store_true", help="print the names of the suites and end")
    parser.add_argument("--records", action="store_true", help="show the kernel's record beside every check")
    parser.add_argument("--full", action="store_true", help="with the long campaigns")
    parser.add_argument("--version", action="version", version="holdfast vm tests 0.1.0")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(suites()))
        return 0
    if unknown := [n for n in arguments.names if n not in suites()]:
        parser.error(f"no suite named {unknown[0]!r}, one of {', '.join(suites())} expected")
    (TOP / "build/vm-tests").mkdir(parents=True, exist_ok=True)
    lock = open(TOP / "build/vm-tests/lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("waiting for another tests/vm/run.py to end", file=sys.stderr, flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)
    passed = failed = 0
    for name in arguments.names or suites():
        suite = Suite(name, TOP / "build/vm-tests" / name, arguments)
        suite.work.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        try:
            load(name).run(suite)
        except (MachineError, RuntimeError, OSError) as error:
            suite.check("the suite could be run", False, str(error))
        print(f"{name}: {suite.passed} passed, {suite.failed} failed in {time.monotonic() - started:.0f} s", flush=True)
        passed, failed = passed + suite.passed, failed + suite.failed
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("tests/vm/run.py: interrupted, the machine is stopped", file=sys.stderr)
        sys.exit(130)
