# SPDX-License-Identifier: LGPL-2.1-or-later
"""The image, variant prod, in the hands of the machine's owner: every change to disk, firmware tables or ESP ends the boot with
a reason, and a foreign disk is not looked at."""

import base64
import json
import re
import shutil

import guestfiles as build
from boot import image_machine
from disk import LOADER, SystemDisk
from machine import Disk, MachineError

IMAGE = build.BUILD / "image"
TO_OSGUARD = 120
PAYLOAD = "io.holdfast.payload"
ROOT = "holdfast-root-a"


def program_offset(data):
    """Of the first program that the root runs."""
    at = data.find((build.BUILD / "tree/root/usr/lib/systemd/systemd").read_bytes()[:build.BLOCK])
    if at < 0:
        raise RuntimeError("usr/lib/systemd/systemd: not found in the root image")
    return at


def flip_data(system, _work):
    system.flip(ROOT, program_offset(system.read(ROOT)))


def flip_tree(system, _work):
    system.flip(f"{ROOT}-verity", 2 * build.BLOCK - 1 if system.read(f"{ROOT}-verity")[:6] == b"verity" else 1)


def flip_signature(system, _work):
    """In the signer's number, which comes last; before it are certificates, which nobody reads."""
    name = f"{ROOT}-sig"
    fields = json.loads(system.read(name).rstrip(b"\0"))
    der = bytearray(base64.b64decode(fields["signature"]))
    der[-20] ^= 1
    fields["signature"] = base64.b64encode(der).decode()
    system.write(name, json.dumps(fields, separators=(",", ":")).encode())


def older_root(system, work):
    """Another root that our own key signed, under the names that the UKI looks for."""
    tree = build.clean_directory(work / "older")
    (tree / "etc").mkdir()
    (tree / "etc/os-release").write_text("ID=holdfast\nVERSION_ID=0.0.1\n")
    data, tail, signature = (work / f"older.{s}" for s in ("data", "hash", "sig"))
    verity = build.BUILD / "release/bin/verity"
    facts = json.loads(build.run(verity, "build", tree, "-o", data, "--hash-file", tail, "--json=short"))
    build.run(verity, "sign", data, "--hash-file", tail, "--root-hash", facts["root_hash"], "--key", build.KEYS / "rootfs.key",
              "--certificate", build.KEYS / "rootfs.pem", "--purpose=rootfs", "--format=partition", "-o", signature)
    for name, file in ((ROOT, data), (f"{ROOT}-verity", tail), (f"{ROOT}-sig", signature)):
        system.write(name, bytes(system.partitions[name][1]))
        system.write(name, file.read_bytes())


def credential_on_esp(system, work):
    (work / "x.cred").write_text("an unsigned credential\n")
    system.add_to_esp(work / "x.cred", f"{LOADER}.extra.d/passwd.hashed-password.root.cred")


def extra_file_on_esp(system, work):
    (work / "x.raw").write_bytes(bytes(4096))
    system.add_to_esp(work / "x.raw", f"{LOADER}.extra.d/extra.sysext.raw")


def signed_addon(system, work):
    """The firmware accepts it: even our own key must not change the command line after the fact."""
    build.run("ukify", "build", "--cmdline=init=/bin/sh", "--stub=/usr/lib/systemd/boot/efi/addonx64.efi.stub", "--signtool=systemd-sbsign",
              f"--secureboot-private-key={build.KEYS}/boot.key", f"--secureboot-certificate={build.KEYS}/boot.pem",
              f"--output={work}/x.addon.efi")
    system.add_to_esp(work / "x.addon.efi", f"{LOADER}.extra.d/x.addon.efi")


def foreign_uki(system, work):
    unsigned = work / "unsigned.efi"
    unsigned.write_bytes(build.without_pe_signature((IMAGE / "uki-prod.efi").read_bytes()))
    build.run("/usr/lib/systemd/systemd-sbsign", "sign", "--private-key", build.KEYS / "foreign.key", "--certificate",
              build.KEYS / "foreign.pem", "--output", work / "foreign.efi", unsigned)
    system.boot_from(work / "foreign.efi")


REFUSED = r"osguard: boot refused: "
BOOTED = r"Kernel panic|osguard\[\d+\]: .*"
CMDLINE = REFUSED + r"surroundings: /proc/cmdline: .*found .*"
# The kernel ends the machine itself: a root that differs may hold the program that would have noticed.
CORRUPTED = r"Kernel panic - not syncing: dm-verity device.*corrupted.*"
SMBIOS = "io.systemd.stub.kernel-cmdline-extra=init=/bin/sh"

# What is done, the change to the disk, more arguments of the machine, and what the serial port says then.
CASES = [
    ("one bit flipped in the root's data", flip_data, {}, CORRUPTED),
    ("one bit flipped in the root's signature", flip_signature, {}, REFUSED + r"root: .*"),
    ("an older root with a valid signature", older_root, {}, REFUSED + r"root: .*"),
    ("a credential on the ESP", credential_on_esp, {}, REFUSED + r"surroundings: /\.extra: .*"),
]
LONG = [
    ("one bit flipped in the root's tree", flip_tree, {}, CORRUPTED),
    ("an extra image on the ESP", extra_file_on_esp, {}, REFUSED + r"surroundings: /\.extra: .*"),
    ("a signed addon with another command line", signed_addon, {}, CMDLINE),
    ("a command line added by SMBIOS", None, {"smbios": [SMBIOS]}, CMDLINE),
    ("a UKI signed by a foreign key", foreign_uki, {}, r"BdsDxe: failed to load .*(Access Denied|Security Violation)"),
]


def machine_for(suite, disk, more=(), **options):
    return image_machine(suite.work / "machine", "prod", disks=[Disk(disk, read_only=False), *more], ports={PAYLOAD: "file"}, net=False, **options)


def try_case(suite, name, change, options, expected):
    system = SystemDisk(IMAGE / "disk-prod.raw", suite.work / "disk.raw")
    if change:
        change(system, suite.work)
    try:
        with machine_for(suite, system.path, **options) as machine:
            machine.start()
            match = machine.wait_for(expected, TO_OSGUARD, fail=None if expected == CORRUPTED else BOOTED, what=name)
            ended = machine.wait_end(30) if REFUSED in expected or expected == CORRUPTED else "no system"
            suite.check(f"{name} is refused", ended in ("no system", "guest-shutdown", "guest-reset"), f"{match[0].strip()[:300]}; then {ended}")
    except MachineError as error:
        suite.check(f"{name} is refused", False, str(error))
    system.remove()


def foreign_disk_is_not_read(suite):
    """prod boots through; of the disk signed for tests no more is read than the kernel's scan for partitions, and nothing runs."""
    injected = {"smbios": ["io.systemd.credential:passwd.hashed-password.root="],
                "fw_cfg": {"opt/io.systemd.credentials/passwd.hashed-password.root": "x"}}
    with machine_for(suite, IMAGE / "disk-prod.raw", [Disk(IMAGE / "payload-test.raw")], **injected) as machine:
        machine.start()
        machine.wait_for(r"osguard: lock done", TO_OSGUARD, fail=REFUSED + ".*|Kernel panic")
        suite.check("the unchanged image boots, with credentials in SMBIOS and fw_cfg that nobody takes", True)
        machine.wait_for(r'osguard\[\d+\]: \[\{"name":', TO_OSGUARD, what="the state of the chain")
        stats = {s["device"]: s["stats"] for s in machine.qmp.command("query-blockstats")}
        read = stats["disk1"]["rd_bytes"]
        suite.check("prod does not open the disk that is signed for tests", read < 256 * 1024, f"{read} bytes read of it")
        machine.port_logs[PAYLOAD].poll()
        suite.check("and nothing of it runs", not re.search(r"^(not )?ok ", machine.port_logs[PAYLOAD].text, re.M))


def run(suite):
    for case in CASES + (LONG if suite.full else []):
        try_case(suite, *case)
    foreign_disk_is_not_read(suite)
    shutil.rmtree(suite.work / "older", ignore_errors=True)
