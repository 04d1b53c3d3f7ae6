# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kernel's layers alone: stock kernel, our init, no Secure Boot, no systemd, no SELinux. OVMF is there because the
kernel takes its trusted certificates from the firmware's db."""

import shutil

import guestfiles as build
import ipescript
import verityopen
from machine import Disk, Firmware, Machine

TIMEOUT = 240
PORT = "io.holdfast.payload"
MODULES = ["loop", "dm-verity", "erofs", "overlay", "virtio_blk"]
PURPOSES = ["boot", "rootfs", "layer", "policy", "manifest", "test"]
CMDLINE = ("console=ttyS0 loglevel=4 panic=-1 lockdown=integrity module.sig_enforce=1 lsm=landlock,lockdown,yama,integrity,bpf,ipe")


def flip_offsets(images, size):
    """Where one changed byte is certain to be read: in the code of helper, and in the tree's top block."""
    image = images / "tools.img"
    helper = (build.programs() / "helper").read_bytes()
    data = image.read_bytes()
    entry = int.from_bytes(helper[24:32], "little") - 0x400000  # not position independent: linked at 4 MiB
    at = data.find(helper[:build.BLOCK])
    if at < 0 or not 0 < entry < len(helper):
        raise RuntimeError(f"{image}: helper's code not found in it")
    (images / "tools.flip").write_text(f"{at + entry} {size + build.BLOCK + 1}\n")


def make_images(work):
    out = build.clean_directory(work / "images")
    single = build.clean_directory(work / "single")
    shutil.copy(build.programs() / "helper", single / "helper")
    tools = build.clean_directory(work / "tools")
    build.copy_programs(tools, libraries=True)
    (tools / "dummy.ko").write_bytes(build.module_closure(["dummy"])["dummy.ko"])
    (tools / "script").write_text("#!/signed/helper\n")
    (tools / "script").chmod(0o755)
    build.erofs(single, tools / "nested.img")
    root_hash, size = build.signed_image("tools", tools, out)
    flip_offsets(out, size)
    build.wrong_signatures("tools", root_hash, out)
    build.signed_image("other", single, out)
    build.two_device_image(single, out)
    return out, root_hash


def make_plain_disk(work):
    """An EROFS without any signature, with kernels for kexec, one that db vouches for and one that it does not, and the folder
    for `verity open`; and the certificates that this needs in db."""
    tree = build.clean_directory(work / "plain")
    certificates = verityopen.make(work / "verity", tree / "verity")
    shutil.copy(build.programs() / "helper", tree)
    kernel = work / "vmlinuz"
    kernel.write_bytes(build.without_pe_signature(build.kernel_image().read_bytes()))
    for key, name in (("boot", "vmlinuz"), ("foreign", "vmlinuz.foreign")):
        build.run("/usr/lib/systemd/systemd-sbsign", "sign", "--private-key", build.KEYS / f"{key}.key", "--certificate",
                  build.KEYS / f"{key}.pem", "--output", tree / name, kernel)
    build.erofs(tree, work / "plain.img")
    return work / "plain.img", certificates


def without_signature(module):
    """The module without its appended signature: data, 12 bytes of which the last 4 are its length, then the marker."""
    marker = b"~Module signature appended~\n"
    if not module.endswith(marker):
        raise RuntimeError("a signed module expected, found one without signature")
    body = module[:-len(marker)]
    return body[:-12 - int.from_bytes(body[-4:], "big")]


def make_initramfs(work, images, policies, script):
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
    archive.add("ipe-script", script, 0o644)
    archive.write(work / "initrd")
    return work / "initrd"


def run(suite):
    images, root_hash = make_images(suite.work)
    build.make_policies(suite.work / "policy", root_hash)
    kinds = build.clean_directory(suite.work / "ipe")
    certificates = [build.KEYS / f"{p}.pem" for p in PURPOSES] + ipescript.make_keys(kinds)
    named = ipescript.named_policy(kinds, root_hash)
    (suite.work / "policy/holdfast_named.p7b").write_bytes(ipescript.sign(named.read_bytes()))
    initrd = make_initramfs(suite.work, images, suite.work / "policy", ipescript.make(kinds))
    disk, for_verity = make_plain_disk(suite.work)
    firmware = Firmware(db=certificates + for_verity, secure_boot=False)
    with Machine(suite.work / "machine", kernel=build.kernel_image(), initrd=initrd, append=CMDLINE, firmware=firmware,
                 disks=[Disk(disk)], net=False, ports={PORT: "file"}) as machine:
        machine.start()
        suite.collect(machine, machine.port_logs[PORT], TIMEOUT)
        ipescript.check_names(suite, machine.port_logs[PORT].text, named, root_hash)
