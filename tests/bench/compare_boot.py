# SPDX-License-Identifier: LGPL-2.1-or-later
"""Boots the image and a stock Debian image in turn and compares them. Runs inside the build root (tests/bench/boot)."""
import argparse
import fcntl
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
sys.path[:0] = [str(HERE), str(TOP / "image")]

from boot import BootError, image_machine  # noqa: E402
from build import fingerprint, make_disk, verity_image  # noqa: E402
from figures import Aim, Figure, draw, host_machine, print_json, print_table  # noqa: E402
from machine import Disk, MachineError, program  # noqa: E402
from packages import TreeError, install, remove_tree, settle  # noqa: E402

BUILD = TOP / "build"
IMAGE = BUILD / "image"
KEYS = BUILD / "keys"
OUT = BUILD / "bench"
STOCK = HERE / "stock"
REPORTS = BUILD / "release/tests/bench"
PORT = "io.holdfast.payload"
SUBJECTS = {"holdfast": "Holdfast", "stock": "stock mkosi"}
BOOT_SECONDS = 900
SECTOR = 512
ESP_TYPE = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
ZSTD_LEVEL = 10
MB, MIB = 10**6, 2**20

# Aims
READY_PART, DOWNLOAD_MB, IDLE_MIB = 0.25, 100, 150


def say(text):
    print(f"==> {text}", file=sys.stderr, flush=True)


def arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/boot", add_help=False)
    parser.add_argument("--samples", type=int, default=3)
    parser.add_argument("--plots", type=pathlib.Path)
    parser.add_argument("--json", choices=("off", "short", "pretty"), default="off")
    parser.add_argument("--no-build", dest="build", action="store_false")
    options = parser.parse_args()
    if not 1 <= options.samples <= 100:
        parser.error(f"--samples: 1 to 100 expected, found {options.samples}")
    return options


def run_logged(command, log, what):
    """A long command: its output goes to a log, whose end is shown when it fails."""
    say(f"{what} (log: {log.relative_to(TOP)})")
    with open(log, "wb") as file:
        status = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=file, stderr=file, check=False).returncode
    if status != 0:
        lines = [line for line in log.read_text(errors="replace").replace("\r", "\n").splitlines() if line.strip()]
        raise BootError(f"{what}: exit status {status}: " + " / ".join(lines[-3:]))


def stamped(name, inputs, outputs, action):
    """Runs action unless it ran with the same inputs and left its outputs."""
    stamp, key = OUT / f"{name}.stamp", fingerprint(inputs)
    if stamp.exists() and stamp.read_text() == key and all(o.exists() for o in outputs):
        say(f"{name}: up to date")
        return
    stamp.unlink(missing_ok=True)
    action()
    stamp.write_text(key)


# The stock image

def stock_sandbox(folder):
    """apt's configuration for mkosi: the mirrors that the build root came from."""
    remove_tree(folder)
    apt = folder / "etc/apt"
    (apt / "sources.list.d").mkdir(parents=True)
    sources = [line.split() for line in pathlib.Path("/etc/apt/sources.list").read_text().splitlines() if line.startswith("deb ")]
    (apt / "sources.list.d/mkosi.sources").write_text("\n".join(
        f"Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: {' '.join(components)}\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n" for _, uri, suite, *components in sources))
    shutil.copytree("/etc/apt/apt.conf.d", apt / "apt.conf.d")


def build_stock():
    for name in ("sandbox", "extra", "stock"):
        remove_tree(OUT / name)
    for name in ("stock", "work", "cache"):
        (OUT / name).mkdir(parents=True, exist_ok=True)
    stock_sandbox(OUT / "sandbox")
    install(REPORTS / "report-stock", OUT / "extra/usr/libexec/bench-report")
    run_logged(["mkosi", "--directory", STOCK, "--output-directory", OUT / "stock", "--workspace-directory", OUT / "work",
                "--package-cache-directory", OUT / "cache", "--sandbox-tree", OUT / "sandbox", "--extra-tree", OUT / "extra",
                "--secure-boot-key", KEYS / "boot.key", "--secure-boot-certificate", KEYS / "boot.pem",
                "--verity-key", KEYS / "rootfs.key", "--verity-certificate", KEYS / "rootfs.pem", "--force", "build"],
               OUT / "mkosi.log", "stock image: mkosi builds it, about 5 minutes")


# Ours

def build_image():
    if subprocess.run([TOP / "image/build", "--variant=prod", "--variant=test"], stdout=sys.stderr, check=False).returncode != 0:
        raise BootError("image/build failed")


def link_image():
    """This run's own links to the image's files: a build that runs meanwhile replaces them and does not disturb us."""
    folder = OUT / "holdfast"
    remove_tree(folder)
    folder.mkdir(parents=True)
    for name in ("disk-test.raw", "store.raw", "uki-prod.efi", "root.data", "root.hash", "root.sig"):
        if not (IMAGE / name).is_file():
            raise BootError(f"build/image/{name}: not found; run without --no-build")
        os.link(IMAGE / name, folder / name)
    return folder


def make_payload():
    """OUT/payload.raw, the reporter as the signed payload of the variant test."""
    if not (REPORTS / "report-holdfast").is_file():
        raise BootError("build/release/tests/bench/report-holdfast: not found; run without --no-build")
    stamped("payload", [REPORTS / "report-holdfast", KEYS / "test.pem", TOP / "image/build.py"], [OUT / "payload.raw"], build_payload)


def build_payload():
    tree = OUT / "payload.d"
    remove_tree(tree)
    install(REPORTS / "report-holdfast", tree / "start")
    settle(tree, {})
    verity_image(tree, OUT / "payload", "test")
    facts = json.loads((OUT / "payload.json").read_text())
    make_disk(OUT / "payload.raw", [
        ("linux-generic", f"holdfast-payload{suffix}", OUT / f"payload.{file}", facts[f"{part}_partition"])
        for suffix, file, part in (("", "data", "data"), ("-verity", "hash", "hash"), ("-sig", "sig", "signature"))])


# Sizes

def stock_parts(folder):
    """What a machine must be given: the UKI, and root, hash tree and signature cut out of mkosi's disk."""
    disk = OUT / "stock/stock.raw"
    table = json.loads(subprocess.run(["sfdisk", "--json", disk], capture_output=True, check=True).stdout)["partitiontable"]["partitions"]
    parts = [OUT / "stock/stock.efi"]
    for number, partition in enumerate(p for p in table if p["type"].upper() != ESP_TYPE):
        parts.append(folder / f"stock-{number}")
        with open(disk, "rb") as source, open(parts[-1], "wb") as to:
            source.seek(partition["start"] * SECTOR)
            left = partition["size"] * SECTOR
            while left > 0:
                block = source.read(min(left, MIB))
                to.write(block)
                left -= len(block)
    return parts


def compressed_size(paths):
    total = 0
    for path in paths:
        with subprocess.Popen(["zstd", "-q", f"-{ZSTD_LEVEL}", "-T0", "--stdout", path], stdout=subprocess.PIPE) as zstd:
            while block := zstd.stdout.read(MIB):
                total += len(block)
        if zstd.returncode != 0:
            raise BootError(f"zstd {path}: exit status {zstd.returncode}")
    return total


def sizes(name, parts):
    """(bytes, bytes packed), kept from run to run since packing takes minutes."""
    known = OUT / f"{name}-size.json"

    def measure():
        say(f"{name}: packing with zstd -{ZSTD_LEVEL}")
        known.write_text(json.dumps({"raw": sum(p.stat().st_size for p in parts), "packed": compressed_size(parts)}))

    stamped(f"{name}-size", [*parts, str(ZSTD_LEVEL)], [known], measure)
    facts = json.loads(known.read_text())
    return facts["raw"], facts["packed"]


# Boots

def parse_report(text):
    """The reporter's lines as a dictionary of numbers; None while it has not ended."""
    if error := re.search(r"^error=(.*)$", text, re.M):
        raise BootError(f"the guest's reporter: {error.group(1)}")
    if not re.search(r"^end=0$", text, re.M):
        return None
    facts = dict(re.findall(r"^(\w+)=(.*)$", text, re.M))
    if facts.get("ActiveState") != "active":
        raise BootError(f"the guest's reporter: ActiveState=active expected, found {facts.get('ActiveState')}")
    return {key: int(value) for key, value in facts.items() if value.isdigit()}


def boot_once(subject, disks):
    """Boots one machine; the values of each figure by its name, and the accelerator."""
    with image_machine(OUT / "machine", "test", disks=disks) as machine:
        machine.start()
        log, name = machine.port_logs[PORT], SUBJECTS[subject]
        machine.wait_for(r"BdsDxe: starting", BOOT_SECONDS, what=f"{name}: firmware")
        started = machine.seconds()
        machine.wait_for(r"^(engine|error)=", BOOT_SECONDS, log=log, what=f"{name}: containers")
        answered = machine.seconds()
        machine.wait_for(r"^(end|error)=", BOOT_SECONDS, log=log, what=f"{name}: idle memory")
        machine.serial.poll()
        return figures_of(subject, parse_report(log.text), machine.serial.text, started, answered), machine.accel


def init_time(subject, report, serial):
    """When the initrd's first program started, in seconds of the kernel's clock."""
    if subject == "stock":
        return report["InitRDTimestampMonotonic"] / 1e6
    found = re.search(r"osguard: start at ([0-9.]+) s", serial)
    if not found:
        raise BootError("osguard's start: not found on the serial port")
    return float(found.group(1))


def figures_of(subject, report, serial, started, answered):
    """started and answered are the host's: when the firmware started the UKI, and when the engine's answer was reported. The
    kernel's clock begins after the boot stub, so the time until init is what the host saw less what the guest knows."""
    for key in ("engine", "MemTotal", "MemAvailable", "ActiveEnterTimestampMonotonic"):
        if not report.get(key):
            raise BootError(f"the guest's reporter: {key}: a number above 0 expected, found none")
    init = init_time(subject, report, serial)
    answer = report["engine"] / 1e6 - init
    return {"power-on to hand-over": started, "hand-over to init": answered - started - answer,
            "init to ready": report["ActiveEnterTimestampMonotonic"] / 1e6 - init, "init to first answer": answer,
            "memory when idle": (report["MemTotal"] - report["MemAvailable"]) / 1024}


def measure(options, disks):
    """Alternates the subjects, so that what else the machine does falls on both alike."""
    figures, loads, accel = {}, [], None
    for sample in range(options.samples):
        for subject in SUBJECTS:
            loads.append(os.getloadavg()[0])
            say(f"boot {sample + 1} of {options.samples}: {SUBJECTS[subject]} (load of the host: {loads[-1]:.1f})")
            values, accel = boot_once(subject, disks[subject])
            say("    " + ", ".join(f"{name} {value:.1f}" for name, value in values.items()))
            for name, value in values.items():
                figures.setdefault(name, Figure(name, "MiB" if "memory" in name else "s")).add(subject, value)
    return list(figures.values()), {"accelerator": accel, "load_before_boots": f"{min(loads):.1f}..{max(loads):.1f}"}


def size_figures(folder):
    raw, packed = Figure("UKI and root", "MB"), Figure("download (zstd)", "MB")
    parts = {"holdfast": [folder / n for n in ("uki-prod.efi", "root.data", "root.hash", "root.sig")], "stock": stock_parts(folder)}
    for subject in SUBJECTS:
        size = sizes(subject, parts[subject])
        raw.add(subject, round(size[0] / MB, 3))
        packed.add(subject, round(size[1] / MB, 3))
    return [raw, packed]


def aims_of(figures):
    by_name = {f.name: f for f in figures}
    ready = by_name["init to ready"]
    return [Aim("init to ready, part of the stock image's", ready.median("holdfast") / ready.median("stock"), READY_PART),
            Aim("download (UKI and root, zstd)", by_name["download (zstd)"].median("holdfast"), DOWNLOAD_MB, "MB"),
            Aim("memory when idle", by_name["memory when idle"].median("holdfast"), IDLE_MIB, "MiB")]


def limits_of(figures):
    """The aims as values of the figures that they are about, for the plots."""
    ready = next(f for f in figures if f.name == "init to ready")
    return {"init to ready": READY_PART * ready.median("stock"), "download (zstd)": DOWNLOAD_MB, "memory when idle": IDLE_MIB}


def take_lock():
    """One run at a time lives in build/bench. The lock goes with the process."""
    OUT.mkdir(parents=True, exist_ok=True)
    lock = open(OUT / "lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise BootError(f"{OUT.relative_to(TOP)}: another tests/bench/boot is running there") from error
    return lock


def bench(options):
    if options.build:
        build_image()
    if not (REPORTS / "report-stock").is_file():
        raise BootError("build/release/tests/bench/report-stock: not found; run without --no-build")
    stamped("stock", [STOCK, KEYS / "boot.pem", KEYS / "rootfs.pem", REPORTS / "report-stock"],
            [OUT / "stock/stock.raw", OUT / "stock/stock.efi"], build_stock)
    make_payload()
    folder = link_image()
    disks = {"holdfast": [Disk(folder / "disk-test.raw", read_only=False), Disk(folder / "store.raw"), Disk(OUT / "payload.raw")],
             "stock": [Disk(OUT / "stock/stock.raw")]}
    machine = host_machine()
    figures, facts = measure(options, disks)
    machine |= {"guest_cpus": 2, "guest_memory_mib": 1024, **facts, "samples": options.samples,
                "qemu": subprocess.run([program("qemu-system-x86_64"), "--version"], capture_output=True, text=True, check=True).stdout.split()[3]}
    figures += size_figures(folder)
    aims = aims_of(figures)
    if options.json == "off":
        print_table(figures, SUBJECTS, machine, aims)
    else:
        print_json(figures, machine, aims, options.json == "pretty")
    if options.plots:
        path = draw(figures, SUBJECTS, limits_of(figures), options.plots, "boot", "Holdfast and a stock mkosi image: boot, size, memory")
        say(f"drawn: {path}")
    return 0 if all(a.met for a in aims) else 1


def main():
    options = arguments()
    started = time.monotonic()
    try:
        with take_lock():
            status = bench(options)
        say(f"{time.monotonic() - started:.0f} s")
        return status
    except (BootError, MachineError, TreeError, OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
        print(f"tests/bench/boot: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("tests/bench/boot: interrupted, the machine is stopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
