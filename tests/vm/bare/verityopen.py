# SPDX-License-Identifier: LGPL-2.1-or-later
"""Images that `verity` made, or that it opens though others made them, as a folder that the guest plays.

A line of the file `cases` is `STATUS ENTRIES SUM NAME <tab> ARGUMENTS`: the exit status of `verity open ARGUMENTS`, and of what the
kernel finds in the image the number of entries and the sum that verityopen.c describes."""

import io
import re
import shutil
import stat
import struct
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

import guestfiles as build

GUEST = Path("/plain/verity")
SALT = bytes(range(256)).hex()
FORMATS = {stat.S_IFREG: tarfile.REGTYPE, stat.S_IFDIR: tarfile.DIRTYPE, stat.S_IFLNK: tarfile.SYMTYPE, stat.S_IFCHR: tarfile.CHRTYPE}


@dataclass
class Entry:
    name: str
    mode: int
    content: bytes = b""  # of a link: its target
    xattrs: dict = field(default_factory=dict)
    device: tuple = (0, 0)

    def sum(self):
        attributes = b"".join(name.encode() + value for name, value in self.xattrs.items())
        return sum(Path(self.name).name.encode() + self.content + attributes) + self.mode + sum(self.device)

    def member(self):
        info = tarfile.TarInfo(self.name)
        info.type, info.mode = FORMATS[stat.S_IFMT(self.mode)], stat.S_IMODE(self.mode)
        info.size = len(self.content) if stat.S_ISREG(self.mode) else 0
        info.linkname = self.content.decode() if stat.S_ISLNK(self.mode) else ""
        info.devmajor, info.devminor = self.device
        info.pax_headers = {f"SCHILY.xattr.{name}": value.decode("utf-8", "surrogateescape") for name, value in self.xattrs.items()}
        return info


def acl():
    """user::rwx user:1000:r-x group::r-x mask::r-x other::--- as the kernel's extended attribute."""
    entries = [(1, 7, -1), (2, 5, 1000), (4, 5, -1), (16, 5, -1), (32, 0, -1)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *e) for e in entries)


def plain_tree():
    return [Entry("helper", stat.S_IFREG | 0o755, (build.programs() / "helper").read_bytes()),
            Entry("data", stat.S_IFREG | 0o644, b"".join(b"%d " % i for i in range(20000)))]


def odd_tree():
    """What an image may hold that is seldom seen."""
    directories = [Entry(d, stat.S_IFDIR | 0o755) for d in ("small", "many")]
    return plain_tree() + directories + [
        Entry("small/file", stat.S_IFREG | 0o600, b"inline"),
        Entry("small/" + "n" * 255, stat.S_IFREG | 0o644, b"\0" * 100000 + b"behind a hole"),
        Entry("small/link", stat.S_IFLNK | 0o777, b"t" * 3000),
        Entry("small/attributes", stat.S_IFREG | 0o644, b"x" * 4095, {f"user.a{i}": b"v" * 3000 for i in range(5)}),
        Entry("small/acl", stat.S_IFREG | 0o750, b"", {"system.posix_acl_access": acl()}),
        Entry("small/gone", stat.S_IFCHR),
        Entry("small/device", stat.S_IFCHR | 0o600, device=(300, 70000)),
        *(Entry(f"many/name-{i:03}-" + "m" * 40, stat.S_IFREG | 0o644, b"%d" % i) for i in range(300)),
    ]


def write_tar(entries, out):
    with tarfile.open(out, "w", format=tarfile.PAX_FORMAT) as archive:
        for entry in entries:
            archive.addfile(entry.member(), io.BytesIO(entry.content))
    return out


def program():
    return build.programs().parents[1] / "bin/verity"


class Cases:
    """The folder: work holds what stays on the host, out what the guest gets."""

    def __init__(self, work, out):
        self.work, self.out = work, out
        self.entries = plain_tree()
        self.tar = write_tar(self.entries, work / "plain.tar")
        self.lines = []

    def verity(self, *arguments):
        return build.run(program(), *arguments).decode().strip()

    def keygen(self, name, *options, purpose="layer"):
        self.verity("keygen", f"--purpose={purpose}", f"--key={self.work / name}.key", f"--certificate={self.work / name}.pem",
                    f"--common-name=Test {name}", *options)
        return self.work / f"{name}.pem"

    def key(self, name):
        home = self.work if (self.work / f"{name}.key").exists() else build.KEYS
        return f"--key={home / name}.key", f"--certificate={home / name}.pem"

    def build(self, name):
        return self.verity("build", self.tar, "-o", self.out / f"{name}.img")

    def sign(self, name, root_hash, key, *options):
        self.verity("sign", self.out / f"{name}.img", f"--root-hash={root_hash}", *self.key(key), "-o", self.out / f"{name}.sig", *options)
        return f"--signature={GUEST / name}.sig"

    def case(self, what, name, *options, status=0, entries=None):
        entries = entries or self.entries
        self.lines.append(f"{status} {len(entries)} {sum(e.sum() for e in entries)} {what}\t{GUEST / name} case {' '.join(options)}")


def make_keys(cases):
    """Keys as `verity keygen` makes them; returns the certificates that go to db."""
    in_db = [cases.keygen("P-384", "--algorithm=p384"), cases.keygen("P-256", "--algorithm=p256"), cases.keygen("authority", "--authority")]
    cases.keygen("leaf", f"--issuer-key={cases.work / 'authority'}.key", f"--issuer-certificate={cases.work / 'authority'}.pem")
    cases.keygen("stranger", purpose="rootfs")
    return in_db


def signed(cases):
    for key, what in (("layer", "signed with RSA"), ("P-384", "signed with P-384"), ("P-256", "signed with P-256"),
                      ("leaf", "signed by a key that an authority in db vouches for")):
        root_hash = cases.build(key)
        cases.case(what, f"{key}.img", f"--root-hash={root_hash}", cases.sign(key, root_hash, key))
    root_hash = cases.build("partition")
    cases.case("a signature that brings the root hash", "partition.img", cases.sign("partition", root_hash, "layer", "--format=partition"))


def odd(cases):
    root_hash = cases.verity("build", write_tar(odd_tree(), cases.work / "odd.tar"), "-o", cases.out / "odd.img")
    (cases.out / "garbage").write_bytes(b"\x7f" * 100)
    for what, signature in (("another image's signature", "layer.sig"), ("garbage for a signature", "garbage")):
        cases.case(what, "odd.img", f"--root-hash={root_hash}", f"--signature={GUEST / signature}", status=1)
    cases.case("entries and attributes of all kinds", "odd.img", f"--root-hash={root_hash}", entries=odd_tree())


def formatted(cases):
    """Data of mkfs.erofs under trees of other shapes."""
    tree = build.clean_directory(cases.work / "tree")
    for entry in cases.entries:
        (tree / entry.name).write_bytes(entry.content)
        (tree / entry.name).chmod(stat.S_IMODE(entry.mode))
    data = cases.work / "data"
    build.erofs(tree, data, "-zlz4")
    root_hash = cases.verity("format", data, "-o", cases.out / "lz4.img")
    cases.case("compressed by mkfs.erofs", "lz4.img", f"--root-hash={root_hash}", cases.sign("lz4", root_hash, "layer"))
    root_hash = cases.verity("format", data, "-o", cases.out / "small.img", "--data-block-size=512", "--hash-block-size=512")
    cases.case("blocks of 512", "small.img", f"--root-hash={root_hash}")
    shutil.copy(data, cases.out / "data")
    root_hash = cases.verity("format", data, f"--hash-file={cases.out / 'tree'}", "--hash=sha512", f"--salt={SALT}")
    cases.case("SHA-512, a salt of 256 bytes and a tree in its own file", "data", f"--root-hash={root_hash}", f"--hash-file={GUEST / 'tree'}")
    root_hash = cases.verity("format", data, "-o", cases.out / "bare.img", "--no-superblock")
    cases.case("no superblock", "bare.img", f"--root-hash={root_hash}", "--no-superblock", f"--hash-offset={data.stat().st_size}")
    shutil.copy(data, cases.out / "theirs.img")
    root_hash = build.verity_format(cases.out / "theirs.img")
    cases.case("formatted by veritysetup", "theirs.img", f"--root-hash={root_hash}")


def disks(cases):
    for key, status, what in (("rootfs", 0, "a disk image brings its signature"), ("stranger", 1, "a disk image signed by a foreign key")):
        cases.verity("rootfs", cases.tar, "-o", cases.out / f"{key}.raw", *cases.key(key))
        cases.case(what, f"{key}.raw", status=status)


def copy_program(out):
    """verity, the libraries that it is linked with, and the dynamic linker."""
    shutil.copy(program(), out / "verity")
    for library in re.findall(r"=> (/\S+)", build.run("ldd", program()).decode()):
        shutil.copy(library, out)
    shutil.copy("/lib64/ld-linux-x86-64.so.2", out / "ld.so")


def make(work, out):
    """Fills out; returns the certificates that the kernel must trust."""
    build.clean_directory(out)
    cases = Cases(build.clean_directory(work), out)
    copy_program(out)
    certificates = make_keys(cases)
    for part in (signed, odd, formatted, disks):
        part(cases)
    (out / "cases").write_text("".join(f"{line}\n" for line in cases.lines))
    return certificates
