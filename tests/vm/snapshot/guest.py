# SPDX-License-Identifier: LGPL-2.1-or-later
"""The harness itself: a machine with firmware and TPM, saved while it runs and taken up again from the snapshot."""

import re
import time

import guestfiles as build
from machine import Disk, Firmware, Machine, MachineError

COUNT = r"count (\d+) pcr7 ([0-9A-F]{64})"


def make_machine(suite, **options):
    firmware = Firmware(db=[build.KEYS / "boot.pem"], secure_boot=False)
    return Machine(suite.work / "machine", kernel=build.kernel_image(), initrd=suite.work / "initrd", append="console=ttyS0 quiet panic=-1",
                   firmware=firmware, tpm=True, memory=512, disks=[Disk(suite.work / "disk", read_only=False)], **options)


def run(suite):
    archive = build.Initramfs()
    archive.add("init", build.programs() / "snapshot-init")
    archive.write(suite.work / "initrd")
    (suite.work / "disk").write_bytes(bytes(1 << 20))
    snapshot = suite.work / "saved"
    with make_machine(suite) as machine:
        machine.start()
        first = machine.wait_for(COUNT, 60, what="the guest's first count")
        suite.check("a guest with firmware and TPM starts", int(first[2], 16) != 0, f"PCR 7 {first[2]} after {machine.seconds():.1f} s")
        machine.save(snapshot)
        last = re.findall(COUNT, machine.serial.text)[-1]
        suite.check("the machine is saved and ended", not machine.running())
    with make_machine(suite) as machine:
        started = time.monotonic()
        machine.start(snapshot=snapshot)
        again = machine.wait_for(COUNT, 30, what="the count going on")
        suite.check("it goes on where it was", 0 < int(again[1]) - int(last[0]) <= 2,
                    f"count {last[0]}, then {again[1]}, {time.monotonic() - started:.2f} s after the start")
        suite.check("its TPM holds the same PCR", again[2] == first[2], f"{first[2]}, then {again[2]}")
    with make_machine(suite, cpus=1) as machine:
        try:
            machine.start(snapshot=snapshot)
            suite.check("a snapshot of another machine is refused", False, "it was taken up")
        except MachineError as error:
            suite.check("a snapshot of another machine is refused", "other arguments" in str(error), str(error))
