# SPDX-License-Identifier: LGPL-2.1-or-later
"""The data volume in the hands of whoever has the disk. Every field of its header is tested without a guest (tests/osguard); here
are the device itself, which only a guest has, and an attack of each kind on a whole machine."""

import hashlib
import os

import guestfiles as build

DATA = "holdfast-data"
COPY, PAGE = 16384, 4096  # bytes of each copy of LUKS2's metadata, and of the binary header before its JSON
HEADER = 16 << 20
CIPHER, NULL_CIPHER = (b'"encryption":"%s","sector_size"' % name for name in (b"aes-xts-plain64", b"cipher_null-ecb"))


def with_null_cipher(header):
    """In both copies, with checksums that hold."""
    out = b""
    for start in (0, COPY):
        copy = bytearray(header[start:start + COPY])
        at = copy.find(CIPHER)
        if at < PAGE:
            raise RuntimeError(f"{CIPHER.decode()}: not found in the LUKS2 header")
        copy[at:at + len(CIPHER)] = NULL_CIPHER
        copy[448:512] = bytes(64)
        copy[448:480] = hashlib.sha256(copy).digest()
        out += copy
    return out


def open_elsewhere(suite, rig):
    """What the owner does with the disk of a machine that is no more: the commands of osguard/VOLUME.md, but for the mapping."""
    image, sealed, key = (rig.work / name for name in ("data.img", "recovery-key.p7m", "recovery-key"))
    rig.disk.esp("mcopy", "-n", "-o", "::/EFI/holdfast/recovery-key.p7m", sealed)
    image.write_bytes(rig.disk.read(DATA, HEADER))
    os.truncate(image, 2 * HEADER)
    build.run("openssl", "cms", "-decrypt", "-inform", "DER", "-in", sealed, "-recip", build.KEYS / "recovery.pem", "-inkey",
              build.KEYS / "recovery.key", "-out", key)
    build.run("cryptsetup", "open", "--test-passphrase", "--key-file", key, image)
    suite.check("the recovery key on the ESP opens the volume without its TPM", True)
    dump = build.run("cryptsetup", "luksDump", image).decode()
    suite.check("cryptsetup luksDump shows one keyslot, our token and the cipher",
                dump.count(": luks2\n") == 1 and "holdfast-tpm" in dump and "cipher: aes-xts-plain64" in dump, dump)
    image.unlink()


def attack(suite, rig, other):
    """rig and other have volumes of their own. Whatever becomes of the disk, the machine boots when it is as it was."""
    volume = rig.disk.read(DATA)
    rig.disk.write(DATA, with_null_cipher(volume[:2 * COPY]))
    rig.boot("a volume with the null cipher in its header is refused", r"volume: .*segments\.0\.encryption: .*cipher_null")
    rig.disk.write(DATA, other.disk.read(DATA))
    rig.boot("the volume of another machine is refused", r"volume: .*tokens\.0: the sealed key [0-9a-f]{68} expected, found")
    rig.disk.write(DATA, volume)
    set_type(rig, "0FC63DAF-8483-4772-8E79-3D69D8477DE4")
    rig.boot("a machine that has a volume does not boot without it", r"volume: data volume: .*found none")
    set_type(rig, "4D21B016-B534-45C2-A9FB-5C16E091FD2D")
    rig.boot("with its disk as it was the machine boots")


def set_type(rig, guid):
    build.run("sfdisk", "--part-type", rig.disk.path, str(rig.disk.numbers[DATA]), guid)


def run(suite, rig, other):
    """Two machines of one owner after their first boot."""
    open_elsewhere(suite, rig)
    attack(suite, rig, other)
