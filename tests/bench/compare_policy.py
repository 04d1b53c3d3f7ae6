# SPDX-License-Identifier: LGPL-2.1-or-later
"""What tests/bench/policy measures. Runs in the build root, where /tmp is a tmpfs of its own."""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
sys.path[:0] = [str(HERE), str(TOP / "image"), str(TOP / "tests/vm")]

import guestfiles  # noqa: E402
from figures import Aim, Figure, draw, host_machine, print_json, print_table  # noqa: E402
from machine import Machine, MachineError  # noqa: E402

SUBJECTS = {"ours": "Holdfast", "peer": "Debian"}
DEBIAN = TOP / "build/bench/debian-policy"
CMDLINE = "console=ttyS0 loglevel=1 panic=-1 lsm=selinux enforcing=0"
GUEST_SECONDS = 240


def arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/policy", add_help=False)
    parser.add_argument("--samples", type=int, default=3)
    parser.add_argument("--plots", type=pathlib.Path)
    parser.add_argument("--json", choices=("off", "short", "pretty"), default="off")
    parser.add_argument("--programs", type=pathlib.Path, default=TOP / "build/release")
    options = parser.parse_args()
    if not 1 <= options.samples <= 100:
        parser.error(f"--samples: 1 to 100 expected, found {options.samples}")
    return options


def seconds(line, statuses):
    """Processor time would hide what waits; this is what a person waits."""
    started = time.perf_counter()
    result = subprocess.run([str(word) for word in line], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if result.returncode not in statuses:
        raise subprocess.SubprocessError(f"{line[0]}: status {result.returncode}: {result.stderr[-300:]}")
    return time.perf_counter() - started


def pairs(samples, name, ours, peer, statuses=((0,), (0,))):
    """Both in turn: A B A B."""
    figure = Figure(name, "s")
    print(f"\033[1m==>\033[0m {name}: {samples} of each", file=sys.stderr, flush=True)
    for _ in range(samples):
        figure.add("ours", seconds(ours, statuses[0]))
        figure.add("peer", seconds(peer, statuses[1]))
    return figure


def loads(guest, ours, peer):
    """The kernel's own time for each policy, both in turn in one guest. Emulated or not, the ratio is what counts; much of it is
    the directory of every class in selinuxfs, of which both have about as many."""
    figure = Figure("loaded by the kernel", "s")
    print("\033[1m==>\033[0m loaded by the kernel: a guest", file=sys.stderr, flush=True)
    work = TOP / "build/bench/policy-guest"
    work.mkdir(parents=True, exist_ok=True)
    archive = guestfiles.Initramfs()
    archive.add("init", guest)
    archive.add("ours", ours, 0o644)
    archive.add("peer", peer, 0o644)
    archive.write(work / "initrd")
    with Machine(work / "machine", kernel=guestfiles.kernel_image(), initrd=work / "initrd", append=CMDLINE, net=False, memory=512) as machine:
        machine.start()
        answer = machine.wait_for(r"^(end|error .*?)\s*$", GUEST_SECONDS, what="the guest's last load")
        if answer[1] != "end":
            raise MachineError(answer[1])
        for subject, nanoseconds in re.findall(r"^load (\w+) (\d+)\s*$", machine.serial.text, re.M):
            figure.add(subject, int(nanoseconds) / 1e9)
    return figure


def sizes(ours, peer):
    figure = Figure("binary", "kB")
    figure.add("ours", ours.stat().st_size / 1000)
    figure.add("peer", peer.stat().st_size / 1000)
    return figure


def measure(options, folder):
    program, binary, debian = options.programs.resolve() / "bin/selinux-policy", folder / "policy.33", DEBIAN / "all.33"
    made = pairs(options.samples, "text to binary", [TOP / "selinux/compile", folder],
                 ["semodule", "-p", DEBIAN / "root", "-s", "default", "-N", "-n", "-B"], ((0,), (0, 1)))
    read = pairs(options.samples, "read and asked once", [program, "query", "-p", binary, "init_t", "os_t", "file"],
                 [program, "query", "-p", debian, "system_u:system_r:init_t:s0", "system_u:object_r:bin_t:s0", "file"])
    compared = pairs(options.samples, "two of Debian's compared", [program, "diff", debian, DEBIAN / "fewer.33"],
                     ["sediff", debian, DEBIAN / "fewer.33"], ((1,), (0, 1)))
    loaded = loads(options.programs.resolve() / "tests/bench/load-policy", binary, debian)
    return [made, sizes(binary, debian), loaded, read, compared]


def aims_of(made, size, loaded, read, compared):
    return [Aim("text to binary: part of Debian's time", made.median("ours") / made.median("peer"), 0.1),
            Aim("size", size.median("ours"), 128, "kB"),
            Aim("loaded by the kernel: part of Debian's time", loaded.median("ours") / loaded.median("peer"), 0.75),
            Aim("read and asked: part of Debian's time", read.median("ours") / read.median("peer"), 0.25),
            Aim("comparison, beside sediff", compared.median("peer") / compared.median("ours"), 5, "times as fast", least=True)]


def main():
    options = arguments()
    load = round(os.getloadavg()[0], 1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            figures = measure(options, pathlib.Path(folder))
    except (OSError, RuntimeError, MachineError, subprocess.SubprocessError) as error:
        print(f"tests/bench/policy: {error}", file=sys.stderr)
        return 2
    aims, machine = aims_of(*figures), {**host_machine(), "samples": options.samples, "load_before": load}
    if options.plots:
        draw(figures, SUBJECTS, {"binary": 128}, options.plots, "policy", "SELinux policy: Holdfast's and Debian's")
    if options.json == "off":
        print_table(figures, SUBJECTS, machine, aims)
    else:
        print_json(figures, machine, aims, options.json == "pretty")
    return 0 if all(a.met for a in aims) else 1


if __name__ == "__main__":
    sys.exit(main())
