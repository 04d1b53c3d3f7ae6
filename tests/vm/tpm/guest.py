# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the TPM remembers, over the life of machines that keep disk and TPM: first boot, a policy and an image replaced and put back.
With --full also disks and TPMs that are swapped, cleared and restored, volumes tampered with, and the way out by the owner's token."""

import base64
import hashlib
import json
import re
import shutil
import struct
import subprocess

import guestfiles as build
import volume
from boot import image_machine
from build import esp_manifest
from disk import SystemDisk
from machine import AUTHORITY, Disk, make_tpm
from prediction import compare_prediction

VARIANT = "prod"
OUT = build.BUILD / "image"
NEXT = build.BUILD / "image-next"
BIN = build.BUILD / "release/bin"
GROUPCTL = BIN / "groupctl"
OPERATOR = "io.holdfast.groupd"
SIGNED = (f"--key={build.KEYS}/build.key", f"--certificate={build.KEYS}/build.pem")
REFUSED = r"osguard: boot refused: (.*)"
BLESSED = r"osguard-bless\[\d+\]: (.*)"
TO_THE_END = 240


def replay(text):
    """The PCR that a log of ours gives: each record's digest, one after the other (CEL in TLV; the last TLV of four is the content)."""
    data, at, pcr, values = base64.b64decode(text), 0, bytes(32), []
    while at < len(data):
        size = struct.unpack_from(">I", data, at + 1)[0]
        values.append(data[at + 5:at + 5 + size])
        at += 5 + size
        if len(values) % 4 == 0:
            pcr = hashlib.sha256(pcr + values[-2][5:37]).digest()
    return pcr.hex()


class Rig:
    """A machine between its boots: a disk and a TPM, which the test may take apart."""

    def __init__(self, suite, name):
        self.suite, self.work = suite, suite.work / name
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        self.disk = SystemDisk(OUT / f"disk-{VARIANT}.raw", self.work / "disk.raw")
        self.tpm = self.work / "tpm"
        self.new_tpm()

    def new_tpm(self):
        make_tpm(self.tpm, AUTHORITY)

    def boot(self, what, expected=None, then=None):
        """Boots to the machine's last word. expected: why it must refuse; None: it must boot. Returns its PCRs and that word. then: is
        called with the machine that booted."""
        disks = [Disk(self.disk.path, read_only=False, write_through=True), Disk(OUT / "store.raw")]
        with image_machine(self.suite.work / "machine", VARIANT, disks=disks, tpm=self.tpm, ports={OPERATOR: "socket"}, hold=True) as machine:
            machine.start()
            match = machine.wait_for(f"{REFUSED}|{BLESSED}", TO_THE_END, what=what)
            if match[1]:
                machine.wait_end(30)
            elif then:
                then(machine)
            pcrs = machine.pcrs()
            logs = re.findall(r"osguard-(?:machine-)?log: (\S+)", machine.serial.text)
        word = match[1] or match[2]
        right = bool(match[2]) if expected is None else bool(match[1] and re.search(expected, match[1]))
        self.suite.check(what, right, f"{'a boot' if expected is None else expected} expected, found: {word[:400]}")
        if match[1]:
            found = [replay(log) for log in logs]
            self.suite.check("  and both logs on the serial port replay to what PCRs 14 and 15 hold", found == pcrs[14:16], f"{pcrs[14:16]} expected, found {found}")
        return pcrs, word

    def keep(self):
        """A copy of the TPM's state, for later."""
        shutil.rmtree(self.work / "kept", ignore_errors=True)
        shutil.copytree(self.tpm, self.work / "kept")

    def put_back(self):
        shutil.rmtree(self.tpm)
        shutil.copytree(self.work / "kept", self.tpm)

    def clear_tpm(self):
        """TPM2_Clear, as root may do it."""
        socket = self.work / "swtpm.sock"
        with subprocess.Popen(["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.tpm}", "--server", f"type=unixio,path={socket}", "--ctrl",
                               f"type=unixio,path={socket}.ctrl", "--flags", "startup-clear"], stderr=subprocess.DEVNULL) as swtpm:
            try:
                build.run("sh", "-c", f"until [ -S {socket} ]; do sleep 0.1; done; tpm2_clear --tcti=swtpm:path={socket}")
            finally:
                swtpm.terminate()


def withdrawn_layer():
    """Of the sample's first image."""
    layout = OUT / "store"
    index = json.loads((layout / "index.json").read_text())
    manifest = json.loads((layout / "blobs/sha256" / index["manifests"][0]["digest"].removeprefix("sha256:")).read_text())
    return manifest["layers"][0]["annotations"]["org.erofs.dmverity.root_digest"]


def newer_policy(work):
    """An IPE host policy of the next version, which takes a layer back, and the PCR policies under which it opens the volume for this
    image and the next."""
    text, signed, policies = (work / name for name in ("host.ipe", "ipe-host.p7b", "ipe-host.json"))
    today = (build.TOP / "ipe-policy/policies/host.ipe").read_text()
    text.write_text(today.replace("policy_version=1.0.0", "policy_version=1.0.1").replace(
        "op=EXECUTE", f"op=EXECUTE dmverity_roothash={withdrawn_layer()} action=DENY\nop=EXECUTE", 1))
    build.run(BIN / "ipe-policy", "sign", text, "--key", build.KEYS / "policy.key", "--certificate", build.KEYS / "policy.pem", "-o", signed)
    build.run(BIN / "attest", "authorize", *(image / f"uki-{VARIANT}.efi" for image in (OUT, NEXT)), f"--variables={OUT}/vars.fd", f"--ipe-host={signed}", *SIGNED, "-o", policies)
    return signed, policies


def put_policy(rig, files):
    for file in files:
        rig.disk.add_to_esp(file, f"EFI/holdfast/{file.name}")


def run_withdrawn(suite, machine):
    """The sample group, one of whose layers the policy names."""
    socket = machine.work / "operator.sock"
    with subprocess.Popen([GROUPCTL, "broker", "--port", machine.work / f"port-{OPERATOR}.sock", "--listen", socket]) as broker:
        try:
            groupctl = f"{GROUPCTL} --machine {socket}"
            said = build.run("timeout", "60", "sh", "-c", f"until {groupctl} list >{machine.work}/list 2>&1; do sleep 0.3; done; "
                             f"{groupctl} run {build.TOP}/image/sample/group.yaml 2>&1", accept=(0, 1, 2, 124)).decode()
        finally:
            broker.terminate()
    suite.check("  and a group with a layer that this policy withdraws is refused with the rule", "may not execute: IPE policy" in said, said)


def check_policy_rollback(rig):
    files = newer_policy(rig.work)
    put_policy(rig, files)
    _, word = rig.boot("a newer IPE host policy on the ESP takes the place of the image's, and the volume opens under it",
                       then=lambda machine: run_withdrawn(rig.suite, machine))
    rig.suite.check("  and is the lowest that boots from then on", "IPE host policy 1.0.1 or higher" in word, word)
    for file in files:
        rig.disk.esp("mdel", f"::/EFI/holdfast/{file.name}")
    rig.boot("the older policy of the image is refused then", r"versions: .*version 1\.0\.1 or higher expected, found 1\.0\.0")
    put_policy(rig, files)


def check_image_rollback(rig):
    rig.disk.install("b", NEXT / "root", NEXT / f"uki-{VARIANT}.efi", esp_manifest(NEXT, VARIANT))
    _, word = rig.boot("the next image boots from slot B, and the volume opens for it")
    rig.suite.check("  and is the oldest that boots from then on", "security version 2 or higher" in word, word)
    rig.disk.boot_from(OUT / f"uki-{VARIANT}.efi")
    rig.boot("the older image is refused then", r"versions: .*security version 2 or higher expected, found 1")


def check_restored_tpm(rig):
    """The caller kept the TPM of a generation before this one."""
    shutil.copytree(rig.tpm, rig.work / "today")
    rig.put_back()
    rig.boot("a TPM whose state is of an older copy is refused", r"promise: .*counter 3 or higher expected by the volume, found 2")
    shutil.rmtree(rig.tpm)
    (rig.work / "today").rename(rig.tpm)


def check_token(rig):
    """A cleared TPM, and what its owner can do."""
    rig.clear_tpm()
    _, word = rig.boot("a TPM that was cleared is refused", r"versions: .*record of generation \d+ expected, found none")
    name, counter = re.search(r"(000b[0-9a-f]{64})", word), re.search(r"generation (\d+)", word)
    if not name:
        rig.suite.check("the refusal says what a token has to name", False, word)
        return
    token = rig.work / "recovery.p7m"
    build.run(BIN / "attest", "token", f"--tpm={name[1]}", f"--counter={counter[1]}", "--image-floor=1", "--ipe-host-floor=1.0.0", "--volume=make",
              *SIGNED, "-o", token)
    rig.disk.add_to_esp(token, "EFI/holdfast/recovery.p7m")
    rig.disk.write("holdfast-data", bytes(32 << 20))
    rig.boot("with the owner's token for this TPM and this value of its counter it boots, and makes a new volume")
    rig.clear_tpm()
    rig.boot("the same token is worth nothing a second time", r"versions: .*recovery token: counter: \d+ expected, found \d+")


def run(suite):
    build.run(build.TOP / "image/build", "--next", f"--variant={VARIANT}")
    rig = Rig(suite, "first")
    pcrs, _ = rig.boot("a new machine boots, makes its volume and commits to the image")
    compare_prediction(suite, VARIANT, pcrs)
    rig.keep()
    check_policy_rollback(rig)
    if suite.full:
        other = Rig(suite, "other")
        other.boot("another new machine boots")
        check_restored_tpm(rig)
        volume.run(suite, rig, other)
        check_token(other)
        other.new_tpm()
        other.boot("a new TPM in a machine that has a volume is refused", r"volume: ")
    check_image_rollback(rig)
    for folder in suite.work.iterdir():
        shutil.rmtree(folder, ignore_errors=True)
