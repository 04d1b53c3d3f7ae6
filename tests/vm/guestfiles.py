# SPDX-License-Identifier: LGPL-2.1-or-later
"""What VM tests put into guests: initramfs, modules, EROFS images with dm-verity trees and signatures, policies.

Made on purpose with other people's tools (mkfs.erofs, veritysetup, openssl), so that the kernel's answer about them says
nothing about ours."""

import lzma
import os
import re
import shutil
import subprocess
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
BUILD = TOP / "build"
KEYS = BUILD / "keys"
KERNEL = BUILD / "kernel"
BLOCK = 4096
SALT = "00" * 32


def run(*argv, stdin=None):
    done = subprocess.run([str(a) for a in argv], input=stdin, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, argv[:3]))} … failed ({done.returncode}): {done.stderr.decode(errors='replace').strip()[-500:]}")
    return done.stdout


def programs():
    """The directory of the guests' programs, from the build tree whose bin/ is first on PATH."""
    directory = Path(os.environ.get("HOLDFAST_GUEST_PROGRAMS", BUILD / "dev/tests/vm"))
    if not (directory / "bare-init").exists():
        raise RuntimeError(f"{directory}: guest programs expected, not found: build the project first (cmake --build --preset dev)")
    return directory


def kernel_release():
    try:
        return (KERNEL / ".release").read_text().strip()
    except FileNotFoundError:
        raise RuntimeError(f"{KERNEL}: no kernel, run image/kernel first") from None


def kernel_image():
    return KERNEL / "boot" / f"vmlinuz-{kernel_release()}"


def module_closure(names):
    """The modules with all they need, as {file name: decompressed content}, in an order that can be loaded."""
    base = KERNEL / "usr/lib/modules" / kernel_release()
    needs = {}
    for line in (base / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        needs[path] = rest.split()
    by_name = {re.sub(r"\.ko(\.xz)?$", "", Path(p).name).replace("_", "-"): p for p in needs}
    builtin = {Path(p).name.removesuffix(".ko").replace("_", "-") for p in (base / "modules.builtin").read_text().split()} \
        if (base / "modules.builtin").exists() else set()
    ordered = {}

    def add(path):
        for need in needs[path]:
            if need not in ordered:
                add(need)
        ordered.setdefault(path, None)

    for name in names:
        name = name.replace("_", "-")
        if name in builtin:
            continue
        if name not in by_name:
            raise RuntimeError(f"module {name}: not in {base}")
        add(by_name[name])
    return {Path(p).name.removesuffix(".xz"): (lzma.decompress if p.endswith(".xz") else bytes)((base / p).read_bytes()) for p in ordered}


class Initramfs:
    """A newc archive, written in the order of add()."""

    def __init__(self):
        self.parts = []
        self.made = set()

    def entry(self, name, mode, data=b"", device=(0, 0)):
        header = [len(self.parts) + 1, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0]
        blob = b"070701" + b"".join(b"%08x" % v for v in header) + name.encode() + b"\0"
        blob += b"\0" * (-len(blob) % 4) + data
        self.parts.append(blob + b"\0" * (-len(data) % 4))

    def directory(self, name):
        for parent in reversed([p for p in [Path(name), *Path(name).parents] if str(p) not in (".", "/")]):
            if str(parent) not in self.made:
                self.made.add(str(parent))
                self.entry(str(parent), 0o040755)

    def add(self, name, data, mode=0o755):
        self.directory(str(Path(name).parent))
        self.entry(name, 0o100000 | mode, data if isinstance(data, bytes) else Path(data).read_bytes())

    def write(self, out):
        # Without /dev/console the kernel gives init no standard output.
        self.directory("dev")
        self.entry("dev/console", 0o020600, device=(5, 1))
        self.entry("TRAILER!!!", 0)
        Path(out).write_bytes(b"".join(self.parts))


def erofs(tree, out, *options):
    run("mkfs.erofs", "--quiet", "-T0", "--all-root", "-b", BLOCK, "-Enoinline_data", *options, out, tree)


def verity_format(image):
    """Appends superblock and tree to the image; writes IMAGE.verity for the guest and returns the root hash."""
    image = Path(image)
    size = image.stat().st_size
    if size % BLOCK:
        raise RuntimeError(f"{image}: whole blocks of {BLOCK} bytes expected, found {size}")
    said = run("veritysetup", "format", "--hash-offset", size, "--data-blocks", size // BLOCK, "--salt", SALT,
               "--uuid", "00000000-0000-4000-8000-000000000001", image, image).decode()
    root_hash = re.search(r"Root hash:\s*([0-9a-f]{64})", said).group(1)
    image.with_suffix(".verity").write_text(f"{size // BLOCK} {size // BLOCK + 1} {root_hash} {SALT}\n")
    return root_hash


def sign_root_hash(root_hash, key, out):
    out.write_bytes(run("openssl", "smime", "-sign", "-noattr", "-binary", "-outform", "der", "-signer", KEYS / f"{key}.pem",
                        "-inkey", KEYS / f"{key}.key", stdin=root_hash.encode()))


def sign_policy(text, key, out):
    out.write_bytes(run("openssl", "smime", "-sign", "-noattr", "-nodetach", "-nosmimecap", "-binary", "-outform", "der", "-signer",
                        KEYS / f"{key}.pem", "-inkey", KEYS / f"{key}.key", stdin=text.encode()))


def clean_directory(path):
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def copy_programs(tree, *, libraries):
    """The programs that the attempts use, and with libraries also the dynamic linker and C library beside them."""
    tree.mkdir(parents=True, exist_ok=True)
    for name in ("helper", "dynamic", "preload.so"):
        shutil.copy(programs() / name, tree / name)
    if libraries:
        shutil.copy("/lib64/ld-linux-x86-64.so.2", tree / "ld.so")
        shutil.copy("/usr/lib/x86_64-linux-gnu/libc.so.6", tree / "libc.so.6")
