# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the TPM remembers, over the life of machines that keep disk and TPM: first boot, a policy replaced and put back, an image
replaced and put back, disks and TPMs that are swapped, copied and restored, a volume tampered with, and the way out by the owner's token."""

import json
import re
import shutil

import build as image_build
import guestfiles as build
from boot import image_machine
from disk import SystemDisk
from machine import AUTHORITY, Disk, make_tpm

VARIANT = "prod"
OUT = build.BUILD / "image"
BIN = build.BUILD / "release/bin"
REFUSED = r"osguard: boot refused: (.*)"
BLESSED = r"osguard-bless\[\d+\]: (.*)"
TO_THE_END = 180


class Rig:
    """A machine between its boots: a disk and a TPM, which the test may take apart."""

    def __init__(self, suite, name):
        self.suite, self.work = suite, suite.work / name
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        self.disk = SystemDisk(OUT / f"disk-{VARIANT}.raw", self.work / "disk.raw")
        self.tpm = self.work / "tpm"
        make_tpm(self.tpm, AUTHORITY)

    def boot(self, what, expected=None):
        """Boots to the machine's last word. expected: why it must refuse; None: it must boot. Returns its PCRs and what it said."""
        with image_machine(self.suite.work / "machine", VARIANT, disks=[Disk(self.disk.path, read_only=False, write_through=True)], tpm=self.tpm,
                           ports={}, net=False, hold=True) as machine:
            machine.start()
            match = machine.wait_for(f"{REFUSED}|{BLESSED}", TO_THE_END, what=what)
            if match[1]:
                machine.wait_end(30)
            pcrs = machine.pcrs()
            log = re.search(r"osguard-log: (\S+)", machine.serial.text)
        said = match[1] or match[2]
        right = bool(match[2]) if expected is None else bool(match[1] and re.search(expected, match[1]))
        self.suite.check(what, right, f"{'a boot' if expected is None else expected} expected, found: {said[:300]}")
        return pcrs, said, log and log[1]

    def keep(self, name):
        """A copy of the TPM's state, for later."""
        shutil.copytree(self.tpm, self.work / name)

    def put_back(self, name):
        shutil.rmtree(self.tpm)
        shutil.copytree(self.work / name, self.tpm)


def manifest():
    return json.loads(build.run(BIN / "attest", "show", f"--trust={build.KEYS}", OUT / f"manifest-{VARIANT}.p7m"))


def compare_prediction(suite, pcrs):
    """Every PCR that the build manifest foretells."""
    for pcr, expected in sorted(manifest()["pcrs"].items(), key=lambda item: int(item[0])):
        suite.check(f"PCR {pcr} is what the build manifest foretold", pcrs[int(pcr)] == expected, f"{expected} expected, found {pcrs[int(pcr)]}")


def run(suite):
    first = Rig(suite, "first")
    pcrs, _, _ = first.boot("a new machine boots, makes its volume and commits to the image")
    compare_prediction(suite, pcrs)
