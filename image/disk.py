# SPDX-License-Identifier: LGPL-2.1-or-later
"""A system disk of a machine that is off, as its owner can change it: partitions, the ESP, the slots of the image."""

import json

from packages import TreeError, run

SECTOR = 512
ESP = "holdfast-esp"
LOADER = "EFI/BOOT/BOOTX64.EFI"  # the one program that the firmware starts


class SystemDisk:
    """A copy, at path, of the disk that image/build made."""

    def __init__(self, original, path):
        self.path = path
        run("cp", "--sparse=always", "--reflink=auto", original, path)
        table = json.loads(run("sfdisk", "--json", path))["partitiontable"]["partitions"]
        self.partitions = {p["name"]: (p["start"] * SECTOR, p["size"] * SECTOR) for p in table}
        self.numbers = {p["name"]: number for number, p in enumerate(table, 1)}

    def read(self, name, size=None):
        start, whole = self.partitions[name]
        with open(self.path, "rb") as disk:
            disk.seek(start)
            return disk.read(whole if size is None else size)

    def write(self, name, data, offset=0):
        start, size = self.partitions[name]
        if offset + len(data) > size:
            raise TreeError(f"{self.path}: {name}: at most {size} bytes expected, found {offset + len(data)}")
        with open(self.path, "r+b") as disk:
            disk.seek(start + offset)
            disk.write(data)

    def flip(self, name, offset):
        self.write(name, bytes([self.read(name, offset + 1)[offset] ^ 1]), offset)

    def esp(self, tool, *operands):
        """One of mtools on the ESP."""
        return run(tool, "-i", f"{self.path}@@{self.partitions[ESP][0]}", *operands)

    def add_to_esp(self, file, name):
        """Puts a file into the ESP in place of what is there; the directories above it are made."""
        parts = name.split("/")
        known = self.esp("mdir", "-/", "-b", "::/").decode().splitlines()
        for i in range(1, len(parts)):
            folder = "::/" + "/".join(parts[:i])
            if not any(line.rstrip("/").upper().startswith(folder.upper()) for line in known):
                self.esp("mmd", folder)
        self.esp("mcopy", "-o", file, f"::/{name}")

    def install(self, slot, image, uki, manifest):
        """Puts an image into a slot ("a" or "b") and its UKI in front of the firmware. image is the root's files without their suffix;
        manifest is (file, name on the ESP)."""
        facts = json.loads(image.with_suffix(".json").read_text())
        for suffix, part, guid in ((".data", "", "data"), (".hash", "-verity", "hash"), (".sig", "-sig", "signature")):
            name = f"holdfast-root-{slot}{part}"
            self.write(name, image.with_suffix(suffix).read_bytes())
            run("sfdisk", "--part-uuid", self.path, str(self.numbers[name]), facts[f"{guid}_partition"])
        self.add_to_esp(*manifest)
        self.boot_from(uki)

    def boot_from(self, uki):
        self.add_to_esp(uki, LOADER)

    def remove(self):
        self.path.unlink()

