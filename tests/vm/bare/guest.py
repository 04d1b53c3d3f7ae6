# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kernel's layers alone: stock kernel, our init, no Secure Boot, no systemd, no SELinux. OVMF is there because the
kernel takes its trusted certificates from the firmware's db."""

import shutil
from pathlib import Path

import guestfiles as build
from machine import Disk, Firmware, Machine

TIMEOUT = 240
PORT = "io.holdfast.payload"
MODULES = ["loop", "dm-verity", "erofs", "overlay", "virtio_blk"]
PURPOSES = ["boot", "rootfs", "layer", "policy", "manifest", "test"]
POLICIES = build.TOP / "ipe-policy/policies"
CMDLINE = ("console=ttyS0 loglevel=4 panic=-1 lockdown=integrity module.sig_enforce=1 lsm=landlock,lockdown,yama,integrity,bpf,ipe")


def changed_blob(blob, out):
    """The second device with the code of another program: whatever chunk differs between the two is exchanged."""
    programs = build.programs()
    ours, theirs = ((programs / n).read_bytes() for n in ("helper", "stranger"))
    data = blob.read_bytes()
    for i in range(0, min(len(ours), len(theirs)), build.BLOCK):
        old, new = ours[i:i + build.BLOCK], theirs[i:i + build.BLOCK]
        if old != new:
            data = data.replace(old, new)
    if data == blob.read_bytes():
        raise RuntimeError("helper and stranger do not differ: the changed device would prove nothing")
    out.write_bytes(data)


def flip_offsets(image, root):
    """Where one changed byte is certain to be read: in the code of helper, and in the tree's top block."""
    helper = (build.programs() / "helper").read_bytes()
    data = Path(image).read_bytes()
    entry = int.from_bytes(helper[24:32], "little") - 0x400000  # not position independent: linked at 4 MiB
    at = data.find(helper[:build.BLOCK])
    if at < 0 or not 0 < entry < len(helper):
        raise RuntimeError(f"{image}: helper's code not found in it")
    (root / "tools.flip").write_text(f"{at + entry} {image.with_suffix('.erofs').stat().st_size + build.BLOCK + 1}\n")


def signed_image(name, tree, out, *options):
    """NAME.img (EROFS and tree), NAME.verity and NAME.p7s in out; returns the root hash."""
    image = out / f"{name}.img"
    build.erofs(tree, image, *options)
    shutil.copy(image, out / f"{name}.erofs")
    root_hash = build.verity_format(image)
    build.sign_root_hash(root_hash, "layer", out / f"{name}.p7s")
    return root_hash


def make_images(work):
    out = build.clean_directory(work / "images")
    helper = build.programs() / "helper"
    single = build.clean_directory(work / "single")
    shutil.copy(helper, single / "helper")

    tools = build.clean_directory(work / "tools")
    build.copy_programs(tools, libraries=True)
    (tools / "dummy.ko").write_bytes(build.module_closure(["dummy"])["dummy.ko"])
    (tools / "script").write_text("#!/signed/helper\n")
    (tools / "script").chmod(0o755)
    build.erofs(single, tools / "nested.img")
    root_hash = signed_image("tools", tools, out)
    flip_offsets(out / "tools.img", out)
    for key in ("foreign", "manifest"):
        build.sign_root_hash(root_hash, key, out / f"tools.{key}.p7s")
    signature = bytearray((out / "tools.p7s").read_bytes())
    signature[-20] ^= 1
    (out / "tools.flipped.p7s").write_bytes(signature)

    signed_image("other", single, out)
    (out / "multi.blob").touch()  # mkfs.erofs opens it, but does not create it
    signed_image("multi", single, out, f"--blobdev={out / 'multi.blob'}", f"--chunksize={build.BLOCK}")
    changed_blob(out / "multi.blob", out / "multi.evil")
    for name in ("tools.erofs", "other.erofs", "multi.erofs", "multi.blob"):
        (out / name).unlink()
    return out, root_hash


def make_policies(work, root_hash):
    out = build.clean_directory(work / "policy")

    def text(name, version="1.0.0", rule="dmverity_signature=TRUE"):
        return f"policy_name={name} policy_version={version}\nDEFAULT action=DENY\nop=EXECUTE {rule} action=ALLOW\n"

    for name in ("boot", "host"):
        build.sign_policy((POLICIES / f"{name}.ipe").read_text(), "policy", out / f"holdfast_{name}.p7b")
    build.sign_policy(text("holdfast_roothash", rule=f"dmverity_roothash=sha256:{root_hash}"), "policy", out / "holdfast_roothash.p7b")
    build.sign_policy(text("holdfast_old", "0.9.0"), "policy", out / "holdfast_old.p7b")
    build.sign_policy(text("holdfast_purpose"), "layer", out / "holdfast_purpose.p7b")
    build.sign_policy(text("holdfast_foreign"), "foreign", out / "holdfast_foreign.p7b")
    (out / "unsigned.pol").write_text(text("holdfast_unsigned"))
    return out


def without_pe_signature(program):
    """The PE program without its certificate table: a kernel checks one signature alone."""
    data = bytearray(program)
    optional = int.from_bytes(data[0x3c:0x40], "little") + 24
    directory = optional + 112 + 4 * 8  # PE32+: the fifth data directory
    start = int.from_bytes(data[directory:directory + 4], "little")
    data[directory:directory + 8] = bytes(8)
    return bytes(data[:start] if start else data)


def make_plain_disk(work):
    """An EROFS without any signature, with kernels for kexec: one that db vouches for and one that it does not."""
    tree = build.clean_directory(work / "plain")
    shutil.copy(build.programs() / "helper", tree)
    kernel = work / "vmlinuz"
    kernel.write_bytes(without_pe_signature(build.kernel_image().read_bytes()))
    for key, name in (("boot", "vmlinuz"), ("foreign", "vmlinuz.foreign")):
        build.run("/usr/lib/systemd/systemd-sbsign", "sign", "--private-key", build.KEYS / f"{key}.key", "--certificate",
                  build.KEYS / f"{key}.pem", "--output", tree / name, kernel)
    build.erofs(tree, work / "plain.img")
    return work / "plain.img"


def without_signature(module):
    """The module without its appended signature: data, 12 bytes of which the last 4 are its length, then the marker."""
    marker = b"~Module signature appended~\n"
    if not module.endswith(marker):
        raise RuntimeError("a signed module expected, found one without signature")
    body = module[:-len(marker)]
    return body[:-12 - int.from_bytes(body[-4:], "big")]


def make_initramfs(work, images, policies):
    programs = build.programs()
    archive = build.Initramfs()
    archive.add("init", programs / "bare-init")
    archive.add("helper", programs / "helper")
    archive.add("stranger", programs / "stranger")
    modules = build.module_closure(MODULES)
    for name, content in modules.items():
        archive.add(f"modules/{name}", content, 0o644)
    archive.add("modules/order", "".join(f"{name}\n" for name in modules).encode(), 0o644)
    dummy = build.module_closure(["dummy"])["dummy.ko"]
    archive.add("module/dummy.ko", dummy, 0o644)
    archive.add("module/unsigned.ko", without_signature(dummy), 0o644)
    for directory in (images, policies):
        for file in sorted(directory.iterdir()):
            archive.add(f"{directory.name}/{file.name}", file, 0o644)
    archive.write(work / "initrd")
    return work / "initrd"


def run(suite):
    images, root_hash = make_images(suite.work)
    initrd = make_initramfs(suite.work, images, make_policies(suite.work, root_hash))
    disk = make_plain_disk(suite.work)
    firmware = Firmware(db=[build.KEYS / f"{p}.pem" for p in PURPOSES], secure_boot=False)
    with Machine(suite.work / "machine", kernel=build.kernel_image(), initrd=initrd, append=CMDLINE, firmware=firmware,
                 disks=[Disk(disk)], net=False, ports={PORT: "file"}) as machine:
        machine.start()
        suite.collect(machine, machine.port_logs[PORT], TIMEOUT)
