# SPDX-License-Identifier: LGPL-2.1-or-later
"""The dev variant: a shell on the serial port, root and bound like everybody else."""

from boot import image_machine
from machine import Stream
from prediction import compare_prediction

BOOT = 120


def ask(machine, line, command, answer):
    """A command for the shell; the match of its answer in what comes after it."""
    line.text = ""
    line.send(f"{command}\n")
    return machine.wait_for(answer, 30, log=line, what=f"the shell's answer to {command!r}")


def run(suite):
    with image_machine(suite.work / "machine", "dev", net=False) as machine:
        machine.start()
        machine.wait_for(r"osguard: lock done", BOOT, fail=r"boot refused: .*|Kernel panic")
        line = Stream(machine.connect_serial())
        machine.wait_for(r"[#$] ", BOOT, log=line, what="the shell's prompt")
        ask(machine, line, "echo user $(id -u) in $(cat /proc/self/attr/current)", r"^user 0 in system_u:system_r:payload_t:.*")
        suite.check("a shell on the serial port, as root", True)
        refused = ask(machine, line, "cp /run/holdfast/payload/usr/bin/busybox /tmp/b; /tmp/b true; echo status $?", r"^status (\d+)")
        suite.check("what it copies does not run", refused[1] == "126", line.text)
        refused = ask(machine, line, "echo 0 >/sys/fs/selinux/enforce; echo status $?", r"^status (\d+)")
        suite.check("it cannot switch SELinux off", refused[1] != "0", line.text)
        compare_prediction(suite, "dev", machine.pcrs())

