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
UUID = "00000000-0000-4000-8000-000000000001"


def run(*argv, stdin=None, accept=(0,)):
    done = subprocess.run([str(a) for a in argv], input=stdin, capture_output=True, check=False)
    if done.returncode not in accept:
        raise RuntimeError(f"{' '.join(map(str, argv[:3]))} … failed ({done.returncode}): {done.stderr.decode(errors='replace').strip()[-500:]}")
    return done.stdout


def programs():
    """The directory of the guests' programs: the one named by HOLDFAST_GUEST_PROGRAMS, else the newest build's."""
    named = os.environ.get("HOLDFAST_GUEST_PROGRAMS")
    candidates = [Path(named)] if named else [BUILD / "dev/tests/vm", BUILD / "release/tests/vm"]
    built = [c for c in candidates if (c / "bare-init").exists()]
    if not built:
        raise RuntimeError(f"{candidates[0]}: guest programs expected, not found: build the project first (cmake --build --preset dev)")
    return max(built, key=lambda c: (c / "bare-init").stat().st_mtime_ns)


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
    run("mkfs.erofs", "--quiet", "-T0", "-U", UUID, "--all-root", "-b", BLOCK, "-Enoinline_data", *options, out, tree)


def verity_format(image):
    """Appends superblock and tree to the image; writes IMAGE.verity for the guest and returns the root hash."""
    image = Path(image)
    size = image.stat().st_size
    if size % BLOCK:
        raise RuntimeError(f"{image}: whole blocks of {BLOCK} bytes expected, found {size}")
    said = run("veritysetup", "format", "--hash-offset", size, "--data-blocks", size // BLOCK, "--salt", SALT,
               "--uuid", UUID, image, image).decode()
    root_hash = re.search(r"Root hash:\s*([0-9a-f]{64})", said).group(1)
    image.with_suffix(".verity").write_text(f"{size // BLOCK} {size // BLOCK + 1} {root_hash} {SALT}\n")
    return root_hash


def sign_root_hash(root_hash, key, out):
    out.write_bytes(run("openssl", "smime", "-sign", "-noattr", "-binary", "-outform", "der", "-signer", KEYS / f"{key}.pem",
                        "-inkey", KEYS / f"{key}.key", stdin=root_hash.encode()))


def sign_policy(text, key, out):
    out.write_bytes(run("openssl", "smime", "-sign", "-noattr", "-nodetach", "-nosmimecap", "-binary", "-outform", "der", "-signer",
                        KEYS / f"{key}.pem", "-inkey", KEYS / f"{key}.key", stdin=text.encode()))


def signed_image(name, tree, out, *options):
    """NAME.img (EROFS and tree), NAME.verity and NAME.p7s in out; returns root hash and size of the data."""
    image = out / f"{name}.img"
    erofs(tree, image, *options)
    size = image.stat().st_size
    root_hash = verity_format(image)
    sign_root_hash(root_hash, "layer", out / f"{name}.p7s")
    return root_hash, size


def wrong_signatures(name, root_hash, out):
    """Signatures for NAME.img that must not do: a foreign key's, another purpose's, and the right one with a bit flipped."""
    for key in ("foreign", "manifest"):
        sign_root_hash(root_hash, key, out / f"{name}.{key}.p7s")
    signature = bytearray((out / f"{name}.p7s").read_bytes())
    signature[-20] ^= 1
    (out / f"{name}.flipped.p7s").write_bytes(signature)


def two_device_image(tree, out):
    """multi.img, signed, whose data lies on a second device, and multi.evil: that device with another program's code."""
    blob = out / "multi.blob"
    blob.touch()  # mkfs.erofs opens it, but does not create it
    signed_image("multi", tree, out, f"--blobdev={blob}", f"--chunksize={BLOCK}")
    ours, theirs = ((programs() / n).read_bytes() for n in ("helper", "stranger"))
    data = blob.read_bytes()
    for i in range(0, min(len(ours), len(theirs)), BLOCK):
        old, new = ours[i:i + BLOCK], theirs[i:i + BLOCK]
        if old != new:
            data = data.replace(old, new)
    if data == blob.read_bytes():
        raise RuntimeError("helper and stranger do not differ: the changed device would prove nothing")
    (out / "multi.evil").write_bytes(data)
    blob.unlink()


def make_policies(out, root_hash):
    """Signed IPE policies: the image's two, and those that the attempts bring."""
    clean_directory(out)

    def text(name, version="1.0.0", rule="dmverity_signature=TRUE"):
        return f"policy_name={name} policy_version={version}\nDEFAULT action=DENY\nop=EXECUTE {rule} action=ALLOW\n"

    for name in ("boot", "host"):
        sign_policy((TOP / f"ipe-policy/policies/{name}.ipe").read_text(), "policy", out / f"holdfast_{name}.p7b")
    sign_policy(text("holdfast_roothash", rule=f"dmverity_roothash=sha256:{root_hash}"), "policy", out / "holdfast_roothash.p7b")
    sign_policy(text("holdfast_old", "0.9.0"), "policy", out / "holdfast_old.p7b")
    sign_policy(text("holdfast_purpose"), "layer", out / "holdfast_purpose.p7b")
    sign_policy(text("holdfast_foreign"), "foreign", out / "holdfast_foreign.p7b")
    (out / "unsigned.pol").write_text(text("holdfast_unsigned"))


def without_pe_signature(program):
    """The PE program without its certificate table: a kernel checks one signature alone."""
    data = bytearray(program)
    optional = int.from_bytes(data[0x3c:0x40], "little") + 24
    directory = optional + 112 + 4 * 8  # PE32+: the fifth data directory
    start = int.from_bytes(data[directory:directory + 4], "little")
    data[directory:directory + 8] = bytes(8)
    return bytes(data[:start] if start else data)


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


def payload_tree(tree):
    """What the test variant's payload disk holds: the attempts as /start, and all they need. tree is emptied first."""
    clean_directory(tree)
    copy_programs(tree, libraries=False)
    shutil.copy(programs() / "payload", tree / "start")
    shutil.copy(programs() / "stranger", tree / "stranger")
    (tree / "script").write_text("#!/run/holdfast/payload/helper\n")
    (tree / "script").chmod(0o755)
    (tree / "dummy.ko").write_bytes(module_closure(["dummy"])["dummy.ko"])
    single = clean_directory(tree.with_name(tree.name + ".layer"))
    shutil.copy(programs() / "helper", single / "helper")
    images = clean_directory(tree / "images")
    root_hash, _ = signed_image("layer", single, images)
    wrong_signatures("layer", root_hash, images)
    (single / "other").write_text("another layer\n")
    signed_image("other", single, images)
    (single / "other").unlink()
    two_device_image(single, images)
    make_policies(tree / "policy", root_hash)
    shutil.rmtree(single)
