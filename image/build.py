# SPDX-License-Identifier: LGPL-2.1-or-later
"""Builds the image: policies, root, initrd, one UKI for each variant, and the disks. Steps whose inputs have not changed are
left as they are. Runs inside the build root (image/build)."""
import argparse
import fcntl
import hashlib
import json
import lzma
import os
import pathlib
import shutil
import subprocess
import sys
import time
import uuid

from disk import LOADER
from machine import Firmware, MachineError
from packages import Packages, TreeError, install, merge_usr, read_list, remove_tree, run, settle

TOP = pathlib.Path(__file__).resolve().parent.parent
BUILD = TOP / "build"
OUT = BUILD / "image"
TREE = BUILD / "tree/root"
KEYS = BUILD / "keys"
BIN = BUILD / "release/bin"
VARIANTS = ("prod", "dev", "test")
PURPOSES = ("boot", "rootfs", "layer", "policy", "manifest", "test")  # in db
TRUSTED = (*PURPOSES, "build", "recovery")  # known to the image
SECURITY_VERSION = 1
ESP_MIB = 192  # two UKIs of today's size and room to grow
SLOT_MIB = {"root": 128, "root-verity": 2, "root-verity-sig": 1}  # room for the images to come
DATA_MIB = 256
CMDLINE = TOP / "image/cmdline"
STUB = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub"
SEED = "9e2a7d0c-6f0b-4a39-8f1e-5b8f3b1f0d11"  # of everything that would otherwise be random in a disk


def say(text):
    print(f"==> {text}", file=sys.stderr, flush=True)


def fingerprint(paths):
    """SHA-256 over names, modes and content of files and trees; strings stand for themselves."""
    digest = hashlib.sha256()
    for path in paths:
        if isinstance(path, str):
            digest.update(path.encode() + b"\0")
            continue
        entries = [path] if path.is_symlink() or not path.is_dir() else sorted(path.rglob("*"))
        for entry in entries:
            digest.update(f"{entry.relative_to(TOP)}\0{entry.lstat().st_mode}\0".encode())
            if entry.is_symlink():
                digest.update(os.readlink(entry).encode())
            elif entry.is_file():
                with open(entry, "rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


class Steps:
    """Runs a step when its inputs or its outputs are not those of the last run."""

    def __init__(self, path):
        self.path = path
        try:
            self.known = json.loads(path.read_text())
        except (OSError, ValueError):
            self.known = {}

    def run(self, name, inputs, outputs, action):
        key = fingerprint([*inputs, pathlib.Path(__file__)])
        old = self.known.get(name)
        if old and old["inputs"] == key and all(p.exists() for p in outputs) and old["outputs"] == fingerprint(outputs):
            say(f"{name}: up to date")
            return
        self.known.pop(name, None)
        say(f"{name}: building")
        started = time.monotonic()
        action()
        self.known[name] = {"inputs": key, "outputs": fingerprint(outputs)}
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps(self.known, indent=1))
        fresh.replace(self.path)
        say(f"{name}: {time.monotonic() - started:.1f} s")


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_configured(types):
    try:
        return f"HOLDFAST_SELINUX_TYPES:PATH={types}\n" in (BUILD / "release/CMakeCache.txt").read_text() \
            and (BUILD / "release/build.ninja").exists()
    except FileNotFoundError:
        return False


def compile_project(types):
    """Ninja knows best what is up to date. types: directory of SELinux types that the image's builder made, or ""."""
    started = time.monotonic()
    say("programs: compiling what changed")
    if not is_configured(types):
        subprocess_visible("cmake", "--preset", "release", f"-DHOLDFAST_SELINUX_TYPES={types}")
    subprocess_visible("cmake", "--build", "--preset", "release")
    say(f"programs: {time.monotonic() - started:.1f} s")


def subprocess_visible(*command):
    """A long command: its last line is shown on a terminal, all of it when it fails."""
    lines = []
    with subprocess.Popen(command, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout:
            lines.append(line)
            if sys.stderr.isatty():
                sys.stderr.write(f"\r\033[K    {line.rstrip():.100}")
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
    if process.returncode != 0:
        sys.stderr.writelines(lines)
        raise TreeError(f"{' '.join(command)}: exit status {process.returncode}")


def firmware():
    """The firmware of a machine for this image: db has one certificate a purpose."""
    return Firmware(db=[KEYS / f"{p}.pem" for p in PURPOSES], pk=KEYS / "PK.pem", kek=KEYS / "KEK.pem")


def kernel_release():
    return (BUILD / "kernel/.release").read_text().strip()


def sign_ipe_policies():
    """What lint warns of is not signed; its text is on the terminal then."""
    for name, lint in (("boot", ["--boot"]), ("host", [])):
        policy = TOP / f"ipe-policy/policies/{name}.ipe"
        subprocess_visible(str(BIN / "ipe-policy"), "lint", str(policy), "--severity=warning", *lint)
        run(BIN / "ipe-policy", "sign", policy, "--key", KEYS / "policy.key", "--certificate", KEYS / "policy.pem", "-o", OUT / f"ipe-{name}.p7b")


def policy_reference(name):
    info = json.loads(run(BIN / "ipe-policy", "info", TOP / f"ipe-policy/policies/{name}.ipe", "--json=short"))
    return {"name": info["name"], "version": info["version"], "sha256": sha256(OUT / f"ipe-{name}.p7b")}


def overlay():
    """What the root image holds beside packages, programs and recipe."""
    tree = OUT / "overlay"
    remove_tree(tree)
    install(OUT / "ipe-host.p7b", tree / "usr/lib/holdfast/ipe-host.p7b")
    install(BUILD / "release/selinux/file_contexts", tree / "etc/selinux/holdfast/contexts/files/file_contexts")


def make_tree():
    overlay()
    run("python3", "-B", TOP / "image/tree.py", "--programs", BIN, "--trust", KEYS, "--add", OUT / "overlay")


def make_next_tree():
    """The same root but for the version that it says it is."""
    remove_tree(TREE)
    run("cp", "-a", BUILD / "tree/root", TREE)
    with open(TREE / "etc/os-release", "a") as file:
        file.write(f"IMAGE_VERSION={SECURITY_VERSION}\n")


def verity_image(tree, out, purpose, *options):
    """A tree as EROFS, its hash tree and its signature: one file for each partition of a verity disk, and the facts as JSON."""
    data, tail, signature = (out.with_suffix(suffix) for suffix in (".data", ".hash", ".sig"))
    facts = json.loads(run(BIN / "verity", "build", tree, "-o", data, "--hash-file", tail, "--json=short", *options))
    run(BIN / "verity", "sign", data, "--hash-file", tail, "--root-hash", facts["root_hash"], "--key", KEYS / f"{purpose}.key",
        "--certificate", KEYS / f"{purpose}.pem", "--purpose", purpose, "--format=partition", "-o", signature)
    facts["data_partition"], facts["hash_partition"] = (str(uuid.UUID(facts["root_hash"][i:i + 32])) for i in (0, 32))
    facts["signature_partition"] = str(uuid.uuid5(uuid.UUID(SEED), facts["root_hash"]))
    out.with_suffix(".json").write_text(json.dumps(facts) + "\n")


def verity_outputs(name):
    return [OUT / f"{name}{suffix}" for suffix in (".data", ".hash", ".sig", ".json")]


def make_root():
    run(BIN / "selinux-policy", "check", TOP / "selinux/policy", "--tree", TREE)
    verity_image(TREE, OUT / "root", "rootfs", "--file-contexts", BUILD / "release/selinux/file_contexts")


def resolve_modules(release):
    """The .ko files that the listed modules need, in loading order, from modprobe's own index."""
    files, names = [], []
    for name in read_list(TOP / "image/modules.list"):
        lines = run("modprobe", "--dirname", BUILD / "kernel/usr", "--set-version", release, "--show-depends", "--ignore-install", name)
        for line in lines.decode().splitlines():
            kind, _, rest = line.partition(" ")
            if kind == "insmod" and rest.split()[0] not in files:
                files.append(rest.split()[0])
        names.append(name)
    return files, names


def stage_modules(root, release):
    files, names = resolve_modules(release)
    base = root / f"usr/lib/modules/{release}"
    for file in files:
        source = pathlib.Path(file)
        to = base / source.relative_to(BUILD / f"kernel/usr/lib/modules/{release}")
        to.parent.mkdir(parents=True, exist_ok=True)
        # The initrd is compressed as a whole: inside it modules lie as they are, with their signature behind them.
        if source.suffix == ".xz":
            to.with_suffix("").write_bytes(lzma.decompress(source.read_bytes()))
        else:
            install(source, to)
    for index in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        install(BUILD / f"kernel/usr/lib/modules/{release}/{index}", base / index)
    run("depmod", "--basedir", root / "usr", release)
    return names


def cpio(root, out, compress):
    """A newc archive of the tree: sorted, owner root, time 0."""
    settle(root, {})
    names = sorted(str(p.relative_to(root)) for p in root.rglob("*"))
    data = run("cpio", "--quiet", "--create", "--format=newc", "--null", "--reproducible", "--owner=0:0",
               input="\0".join([".", *names, ""]).encode(), cwd=root)
    if compress:
        data = run("zstd", "-q", "-19", "--stdout", "-", input=data)
    out.write_bytes(data)


def make_initrd():
    """Everything but image.json: osguard with its libraries, modules, trust, boot policies."""
    root = OUT / "initrd"
    remove_tree(root)
    packages = Packages(BUILD / "tree/packages")
    chosen = packages.with_targets({"usr/lib/x86_64-linux-gnu/libtss2-tcti-device.so.0", "usr/sbin/mke2fs"})
    root.mkdir(parents=True)
    merge_usr(root)
    packages.copy(packages.closure(chosen, [BIN / "osguard"]), root)
    install(BIN / "osguard", root / "init")
    for purpose in TRUSTED:
        install(KEYS / f"{purpose}.pem", root / f"etc/holdfast/trust/{purpose}.pem")
    install(OUT / "ipe-boot.p7b", root / "etc/holdfast/ipe-boot.p7b")
    install(BUILD / "release/selinux/policy.33", root / "etc/holdfast/selinux.policy")
    install(BUILD / "release/selinux/boot_contexts", root / "etc/holdfast/selinux.contexts")
    for name in ("proc", "sys", "dev", "run", "sysroot"):
        (root / name).mkdir(exist_ok=True)
    names = stage_modules(root, kernel_release())
    run("ldconfig", "-X", "-r", root)
    remove_tree(root / "var")
    (OUT / "modules.json").write_text(json.dumps(names))
    cpio(root, OUT / "initrd.cpio.zst", True)


def image_json(variant):
    root = json.loads((OUT / "root.json").read_text())
    return {
        "version": 1, "name": "holdfast", "variant": variant, "security_version": SECURITY_VERSION,
        "cmdline": CMDLINE.read_text().strip(),
        "root": {
            "partition_uuid": root["data_partition"], "verity_partition_uuid": root["hash_partition"],
            "signature_partition_uuid": root["signature_partition"], "root_hash": root["root_hash"],
            "algorithm": root["algorithm"], "salt": root["salt"], "data_block_size": 4096, "hash_block_size": 4096,
            "data_size": root["data_size"], "hash_offset": 0},
        "policies": {"ipe_boot": policy_reference("boot"), "ipe_host": policy_reference("host"),
                     "selinux": {"sha256": sha256(BUILD / "release/selinux/policy.33")}},
        "modules": json.loads((OUT / "modules.json").read_text()),
    }


def make_uki(variant):
    tree = OUT / f"initrd-{variant}"
    remove_tree(tree)
    (tree / "etc/holdfast").mkdir(parents=True)
    (tree / "etc/holdfast/image.json").write_text(json.dumps(image_json(variant), indent=1) + "\n")
    cpio(tree, OUT / f"initrd-{variant}.cpio", False)
    release = kernel_release()
    os_release = OUT / f"os-release-{variant}"
    os_release.write_text((BUILD / "tree/root/etc/os-release").read_text() + f"VARIANT_ID={variant}\n")
    run("ukify", "build", f"--linux={BUILD}/kernel/boot/vmlinuz-{release}", f"--initrd={OUT}/initrd.cpio.zst",
        f"--initrd={OUT}/initrd-{variant}.cpio", f"--cmdline=@{CMDLINE}", f"--os-release=@{os_release}",
        f"--uname={release}", f"--stub={STUB}", "--signtool=systemd-sbsign", "--no-sign-kernel",
        f"--secureboot-private-key={KEYS}/boot.key", f"--secureboot-certificate={KEYS}/boot.pem", f"--output={OUT}/uki-{variant}.efi.new")
    (OUT / f"uki-{variant}.efi.new").replace(OUT / f"uki-{variant}.efi")


def make_variables():
    firmware().enroll(OUT / "vars.fd")


def make_manifest(variant):
    """What this UKI will measure on a machine with our firmware and keys, signed, with the policy that opens its data volume."""
    payload = [] if variant == "prod" else [f"--payload={json.loads(payload_facts(variant).read_text())['root_hash']}"]
    run(BIN / "attest", "manifest", OUT / f"uki-{variant}.efi", f"--firmware={firmware().code()}", f"--variables={OUT}/vars.fd", *payload,
        f"--packages={BUILD}/tree/packages.json", f"--key={KEYS}/build.key", f"--certificate={KEYS}/build.pem", "-o", OUT / f"manifest-{variant}.p7m")


def payload_facts(variant):
    """The next image goes with the payload disk of this one."""
    return BUILD / f"image/payload-{variant}.json"


def esp_manifest(out, variant):
    """The build manifest and its name on the ESP, where osguard looks for it by what its image.json is."""
    return out / f"manifest-{variant}.p7m", f"EFI/holdfast/{sha256(out / f'initrd-{variant}/etc/holdfast/image.json')[:32]}.p7m"


def make_esp(variant):
    """FAT16: the firmware refuses a FAT32 of this size."""
    esp = OUT / f"esp-{variant}.img"
    esp.unlink(missing_ok=True)
    with open(esp, "wb") as file:
        file.truncate(ESP_MIB << 20)
    run("mkfs.vfat", "--invariant", "-F", "16", "-n", "ESP", esp)
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "0", "MTOOLS_SKIP_CHECK": "1", "TZ": "UTC"}
    run("mmd", "-i", esp, "::/EFI", "::/EFI/BOOT", "::/EFI/holdfast", env=environment)
    manifest, name = esp_manifest(OUT, variant)
    for file, to in ((OUT / f"uki-{variant}.efi", LOADER), (manifest, name)):
        run("mcopy", "-i", esp, file, f"::/{to}", env=environment)
    return esp


def partition(folder, number, kind, label, source=None, guid=None, mib=0):
    """source is copied; mib is the size where it is not the source's."""
    size = mib << 20 or source.stat().st_size  # both limits, or the first partition of a small disk grows
    text = f"[Partition]\nType={kind}\nLabel={label}\nWeight=0\nSizeMinBytes={size}\nSizeMaxBytes={size}\n"
    text += f"ReadOnly={'no' if kind in ('esp', 'var') else 'yes'}\n"
    text += f"CopyBlocks={source}\n" if source else ""
    text += f"UUID={guid}\n" if guid else ""
    (folder / f"{number}-{label}.conf").write_text(text)


def make_disk(out, partitions):
    """A GPT disk; see partition()."""
    folder = out.with_suffix(".d")
    remove_tree(folder)
    folder.mkdir(parents=True)
    for number, entry in enumerate(partitions, 10):
        partition(folder, number, *entry)
    fresh = out.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    run("systemd-repart", "--empty=create", "--size=auto", "--offline=yes", f"--seed={SEED}", f"--definitions={folder}",
        "--dry-run=no", "--architecture=x86-64", "--no-pager", fresh)
    fresh.replace(out)


def verity_partitions(name, label, kinds, sizes=(0, 0, 0)):
    facts = json.loads((OUT / f"{name}.json").read_text())
    return [(kinds[0], label, OUT / f"{name}.data", facts["data_partition"], sizes[0]),
            (kinds[1], f"{label}-verity", OUT / f"{name}.hash", facts["hash_partition"], sizes[1]),
            (kinds[2], f"{label}-sig", OUT / f"{name}.sig", facts["signature_partition"], sizes[2])]


def make_system_disk(variant):
    """Slot A holds the image, slot B waits for the next one, and the data partition for the machine's first boot."""
    esp = make_esp(variant)
    slot_b = [(kind, f"holdfast-root-b{kind[4:]}".replace("-verity-sig", "-sig"), None, None, mib) for kind, mib in SLOT_MIB.items()]
    make_disk(OUT / f"disk-{variant}.raw", [("esp", "holdfast-esp", esp, None),
              *verity_partitions("root", "holdfast-root-a", tuple(SLOT_MIB), tuple(SLOT_MIB.values())), *slot_b,
              ("var", "holdfast-data", None, None, DATA_MIB)])
    esp.unlink()


def make_verity_disk(name, tree, purpose, label, *options):
    verity_image(tree, OUT / name, purpose, *options)
    make_disk(OUT / f"{name}.raw", verity_partitions(name, label, ("linux-generic",) * 3))


def sign_store():
    """The sample's images as signed layers, and the disk that carries them."""
    out = OUT / "store"
    remove_tree(out)
    run(BIN / "verity", "image", BUILD / "sample/oci", "-o", out, "--key", KEYS / "layer.key", "--certificate", KEYS / "layer.pem",
        "--manifest-key", KEYS / "manifest.key", "--manifest-certificate", KEYS / "manifest.pem")
    # Not the key of layers: who gets a layer signed must not be able to say which images there are.
    make_verity_disk("store", out, "manifest", "holdfast-store")


def dev_payload():
    """The console of the dev variant: a shell from a signed disk."""
    tree = OUT / "payload-dev.d"
    remove_tree(tree)
    packages = Packages.fetch(["busybox-static"], BUILD / "tree/busybox")
    packages.copy(packages.select(["usr/bin/busybox"]), tree)
    install(TOP / "image/dev/start", tree / "start")
    settle(tree, {})
    make_verity_disk("payload-dev", tree, "test", "holdfast-payload")


def test_payload():
    """Root's attempts, for the test variant."""
    tree = OUT / "payload-test.d"
    remove_tree(tree)
    run(TOP / "tests/vm/payload-tree", tree)
    settle(tree, {})
    make_verity_disk("payload-test", tree, "test", "holdfast-payload")


def take_lock():
    """Two builds at once would tear each other's files. The lock goes with the process."""
    OUT.mkdir(parents=True, exist_ok=True)
    lock = open(OUT / "lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("waiting for another image/build to end")
        fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def release_path(*names):
    return [BUILD / "release/selinux" / name for name in names]


def certificates():
    return [KEYS / f"{p}.pem" for p in TRUSTED]


def build_root(steps):
    """Policies, the root tree and its image."""
    selinux = release_path("policy.33", "file_contexts", "boot_contexts")
    ipe = [OUT / "ipe-boot.p7b", OUT / "ipe-host.p7b"]
    programs = [BIN / pathlib.Path(p).name for p in read_list(TOP / "image/root/programs.list")]
    steps.run("IPE policies", [TOP / "ipe-policy/policies", KEYS / "policy.pem"], ipe, sign_ipe_policies)
    if TREE.is_relative_to(OUT):
        steps.run("root tree", [BUILD / "tree/root", str(SECURITY_VERSION)], [TREE], make_next_tree)
    else:
        steps.run("root tree", [TOP / "image/root", TOP / "image/tree.py", TOP / "image/packages.py", *programs, *certificates(), *ipe, *selinux],
                  [TREE], make_tree)
    steps.run("root image", [TREE, KEYS / "rootfs.pem", *selinux], verity_outputs("root"), make_root)


def build_variant(steps, variant):
    selinux = release_path("policy.33")
    ipe = [OUT / "ipe-boot.p7b", OUT / "ipe-host.p7b"]
    uki, manifest = OUT / f"uki-{variant}.efi", OUT / f"manifest-{variant}.p7m"
    steps.run(f"UKI {variant}", [OUT / "initrd.cpio.zst", OUT / "root.json", CMDLINE, KEYS / "boot.pem", BUILD / "kernel/boot", *ipe, *selinux,
                                 str(SECURITY_VERSION)], [uki], lambda: make_uki(variant))
    payload = [] if variant == "prod" else [payload_facts(variant)]
    steps.run(f"manifest {variant}", [uki, OUT / "vars.fd", BIN / "attest", KEYS / "build.pem", *payload], [manifest], lambda: make_manifest(variant))
    steps.run(f"disk {variant}", [uki, manifest, *verity_outputs("root")], [OUT / f"disk-{variant}.raw"], lambda: make_system_disk(variant))


def build_others(steps, options):
    """The disks beside the system disk."""
    if options.store:
        if subprocess.run([TOP / "image/sample/build"], check=False).returncode != 0:
            raise TreeError("image/sample/build failed")
        steps.run("image store", [BUILD / "sample/oci", KEYS / "layer.pem", KEYS / "manifest.pem", BIN / "verity"],
                  [OUT / "store.raw"], sign_store)
    if "dev" in options.variants:
        steps.run("dev console", [TOP / "image/dev", KEYS / "test.pem"], [OUT / "payload-dev.raw"], dev_payload)
    if "test" in options.variants:
        steps.run("test payload", [TOP / "tests/vm", BUILD / "release/tests/vm", *(KEYS / f"{n}.pem" for n in ("test", "layer", "foreign"))],
                  [OUT / "payload-test.raw"], test_payload)


def build(options):
    lock = take_lock()
    compile_project(options.selinux_types or "")
    for script in ("keys", "kernel"):
        if subprocess.run([TOP / "image" / script], check=False).returncode != 0:
            raise TreeError(f"image/{script} failed")
    steps = Steps(OUT / "steps.json")
    build_root(steps)
    steps.run("initrd", [BIN / "osguard", TOP / "image/modules.list", BUILD / "kernel/usr", BUILD / "tree/packages/packages.json", *certificates(),
                         OUT / "ipe-boot.p7b", *release_path("policy.33", "boot_contexts")],
              [OUT / "initrd.cpio.zst", OUT / "modules.json"], make_initrd)
    steps.run("firmware variables", [*certificates(), KEYS / "PK.pem", KEYS / "KEK.pem"], [OUT / "vars.fd"], make_variables)
    if not options.next:
        build_others(steps, options)
    for variant in options.variants:
        build_variant(steps, variant)
    lock.close()


def make_next():
    """Whatever is built from here on is the image that comes after this one."""
    global OUT, TREE, SECURITY_VERSION
    OUT = BUILD / "image-next"
    TREE = OUT / "tree"
    SECURITY_VERSION += 1


def types_directory(text):
    """A directory that has types. The build root sees the tree and what lies below it."""
    path = pathlib.Path(text).resolve()
    if not list(path.glob("*.cil")):
        raise argparse.ArgumentTypeError(f"{path}: *.cil expected in the build root, not found")
    return path


def main():
    parser = argparse.ArgumentParser(prog="image/build", description="Compiles the project and builds the image below build/image.")
    parser.add_argument("--variant", dest="variants", action="append", choices=VARIANTS, help="only this UKI and disk; may be repeated")
    parser.add_argument("--next", action="store_true",
                        help="build into build/image-next an image of the next security version, from the root tree that is there")
    parser.add_argument("--selinux-types", metavar="DIR", type=types_directory,
                        help="with the container types of DIR/*.cil, which selinux-policy new-type wrote")
    parser.add_argument("--no-store", dest="store", action="store_false", help="without the sample's image store")
    options = parser.parse_args()
    options.variants = options.variants or list(VARIANTS)
    if options.next:
        make_next()
    try:
        build(options)
    except (TreeError, MachineError, OSError, ValueError, KeyError) as error:
        print(f"image/build: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
