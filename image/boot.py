# SPDX-License-Identifier: LGPL-2.1-or-later
"""Boots the built image, runs a group, and reports each link of the chain. Runs inside the build root (image/boot)."""
import argparse
import fcntl
import json
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

from build import BUILD, KEYS, OUT, PURPOSES, TOP, esp_manifest, firmware
from disk import SystemDisk
from machine import AUTHORITY, VM, Disk, Machine, MachineError, check_port_free, make_tpm

GROUPCTL = BUILD / "release/bin/groupctl"
SOCKET = VM / "groupd.sock"
TAP = re.compile(r"^(ok|not ok) \d+ - (.*?)(?: # record: (.*))?$", re.M)


class BootError(Exception):
    """It could not be tried; the message says what failed."""


def say(text):
    print(f"==> {text}", file=sys.stderr, flush=True)


def arguments():
    parser = argparse.ArgumentParser(prog="image/boot", add_help=False)
    parser.add_argument("--variant", choices=("test", "dev", "prod"), default="test")
    parser.add_argument("--group", type=pathlib.Path, default=TOP / "image/sample/group.yaml")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--stay", action="store_true")
    parser.add_argument("--no-build", dest="build", action="store_false")
    parser.add_argument("--update", action="store_true")
    options = parser.parse_args()
    if not options.group.is_file():
        parser.error(f"--group: {options.group}: a group file expected, not found")
    if not 1 <= options.port <= 65535:
        parser.error(f"--port: 1 to 65535 expected, found {options.port}")
    return options


def image_machine(work, variant, **options):
    """The machine that a user boots: system disk, image store, the variant's payload, TPM, operator's port."""
    disks = [Disk(OUT / f"disk-{variant}.raw", read_only=False), Disk(OUT / "store.raw")]
    if variant != "prod":
        disks.append(Disk(OUT / f"payload-{variant}.raw"))
    options.setdefault("ports", {"io.holdfast.groupd": "socket", "io.holdfast.payload": "file"})
    options.setdefault("disks", disks)
    options.setdefault("firmware", firmware())
    kernel = next((BUILD / "kernel/boot").glob("vmlinuz-*"))
    options.setdefault("tpm", True)
    return Machine(work, memory=1024, probe_kernel=kernel, **options)


def groupctl(*words, check=True):
    done = subprocess.run([str(GROUPCTL), "--machine", str(SOCKET), *map(str, words)], capture_output=True, text=True, check=False,
                          timeout=180)
    if check and done.returncode != 0:
        raise BootError(f"groupctl {words[0]}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def start_broker(machine):
    SOCKET.unlink(missing_ok=True)
    broker = subprocess.Popen([str(GROUPCTL), "broker", "--port", str(machine.work / "port-io.holdfast.groupd.sock"), "--listen", str(SOCKET)])
    deadline = time.monotonic() + 10
    while not SOCKET.exists():
        if broker.poll() is not None or time.monotonic() > deadline:
            raise BootError("the broker of the operator's port did not start")
        time.sleep(0.05)
    return broker


def wait_for_groupd(machine, seconds):
    deadline = time.monotonic() + seconds
    while True:
        done = subprocess.run([str(GROUPCTL), "--machine", str(SOCKET), "list"], capture_output=True, text=True, check=False, timeout=60)
        if done.returncode == 0:
            return
        if time.monotonic() > deadline or not machine.running():
            raise BootError(f"groupd does not answer: {done.stderr.strip()}; last serial lines:\n{machine.serial.tail()}")
        time.sleep(0.5)


def run_group(machine, options):
    """Runs the group and fetches its page through the forwarded port. Returns the facts for the report."""
    groupctl("run", options.group)
    shown = json.loads(groupctl("list", "--json=short"))
    group = (shown["groups"] if isinstance(shown, dict) else shown)[0]
    facts = json.loads(groupctl("show", group["name"], "--json=short"))
    report = {"name": group["name"], "state": facts.get("state"), "address": facts.get("address"), "url": None, "page": None, "ok": False}
    ports = facts.get("ports") or []
    if facts.get("address") and ports:
        machine.add_forward(options.port, facts["address"], ports[0])
        report["url"] = f"http://127.0.0.1:{options.port}/"
        report["page"] = fetch(report["url"], 60)
        report["ok"] = report["page"] is not None
    else:
        report["ok"] = facts.get("state") == "Running"
    return report


def fetch(url, seconds):
    """The page's text, or None when it does not come in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:
                return answer.read(65536).decode(errors="replace")
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    return None


def links_of(machine):
    match = machine.wait_for(r'osguard\[\d+\]: (\[\{"name":.*\])\s*$', 120, what="the state of the chain")
    return json.loads(match.group(1))


def denials_of(machine):
    """What the test payload tried as root, from its TAP on the payload's port: what was refused, with the record, and what must work."""
    log = machine.port_logs["io.holdfast.payload"]
    machine.wait_for(r"^1\.\.(\d+)$", 300, log=log, what="root's attempts")
    plan = int(re.search(r"^1\.\.(\d+)$", log.text, re.M).group(1))
    deadline = time.monotonic() + 300
    while len(TAP.findall(log.text)) < plan:
        if time.monotonic() > deadline or not machine.running():
            raise BootError(f"root's attempts: {plan} results expected, found {len(TAP.findall(log.text))}")
        time.sleep(0.2)
        log.poll()
    results = [(name, result == "ok", record) for result, name, record in TAP.findall(log.text)]
    denials = [{"name": name, "ok": ok, "record": record} for name, ok, record in results if record or not ok]
    links = [{"name": name, "expected": "yes", "found": "yes", "ok": True} for name, ok, record in results if ok and not record]
    return denials, links


def table(headings, rows):
    widths = [min(60, max(len(str(r[i])) for r in [headings, *rows])) for i in range(len(headings))]
    for row in [headings, *rows]:
        print("  ".join(f"{str(cell)[:60]:{width}}" for cell, width in zip(row, widths)).rstrip())
    print()


def mark(ok):
    return "ok" if ok else "NOT OK"


def print_report(report):
    table(["LINK", "EXPECTED", "FOUND", ""], [[l["name"], l["expected"], l["found"], mark(l["ok"])] for l in report["links"]])
    if report["denials"]:
        table(["TRIED AS ROOT IN THE MACHINE", "REFUSED BY", ""], [[d["name"], d["record"].rpartition("refused by: ")[2], mark(d["ok"])]
                                                                    for d in report["denials"]])
    for group in report["groups"]:
        table(["GROUP", "STATE", "ADDRESS", "PAGE", ""], [[group["name"], group["state"], group["address"], group["url"] or "", mark(group["ok"])]])
        text = re.sub(r"<(style|title)>.*?</\1>|<[^>]*>", " ", group["page"] or "", flags=re.S)
        if text.strip():
            print("  " + " ".join(text.split())[:110] + "\n")


def write_report(report):
    folder = BUILD / "boot"
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / "report.json.new"
    fresh.write_text(json.dumps(report, indent=1) + "\n")
    fresh.replace(folder / "report.json")


def stay(options, report):
    say("the machine keeps running; Ctrl-C ends it. Talk to it from another terminal:")
    print(f"    ci/shell groupctl --machine {SOCKET.relative_to(TOP)} list")
    print(f"    ci/shell groupctl --machine {SOCKET.relative_to(TOP)} logs {report['groups'][0]['name']}")
    if report["groups"][0]["url"]:
        print(f"    curl {report['groups'][0]['url']}")
    print(f"    serial port: {VM.relative_to(TOP)}/machine/serial.log", flush=True)
    if options.variant == "dev":
        print(f"    a shell: ci/shell socat -,raw,echo=0,escape=0x1d unix-connect:{VM.relative_to(TOP)}/machine/serial.sock (Ctrl-] leaves it)", flush=True)
    signal.pause()


def take_lock():
    """One machine at a time lives in build/vm. The lock goes with the process."""
    VM.mkdir(parents=True, exist_ok=True)
    lock = open(VM / "lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BootError(f"{VM.relative_to(TOP)}: another image/boot is running there") from error
    return lock


def check_files(options):
    """Everything that the machine needs is there, and the group file is right, before the machine is started."""
    payload = [] if options.variant == "prod" else [OUT / f"payload-{options.variant}.raw"]
    keys = [KEYS / f"{n}.pem" for n in (*PURPOSES, "PK", "KEK")]
    for path in (OUT / f"disk-{options.variant}.raw", OUT / "store.raw", GROUPCTL, BUILD / "kernel/.release", *payload, *keys):
        if not path.exists():
            raise BootError(f"{path.relative_to(TOP)}: expected, not found; image/build makes it")
    done = subprocess.run([str(GROUPCTL), "check", str(options.group)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BootError(f"group file: {done.stderr.strip()}")


def boot(options):
    lock = take_lock()
    check_port_free(options.port)
    if options.build and subprocess.run([TOP / "image/build"], check=False).returncode != 0:
        raise BootError("image/build failed")
    check_files(options)
    started = time.monotonic()
    with image_machine(VM / "machine", options.variant) as machine:
        machine.start()
        say(f"booting variant {options.variant} under {machine.accel.upper()}; this takes about a minute without KVM")
        broker = start_broker(machine)
        try:
            machine.wait_for(r"osguard: start", 180, what="osguard")
            links = links_of(machine)
            wait_for_groupd(machine, 120)
            say(f"the machine is up after {time.monotonic() - started:.0f} s; running {options.group.name}")
            report = {"links": links, "denials": [], "groups": [run_group(machine, options)]}
            if options.variant == "test":
                report["denials"], allowed = denials_of(machine)
                report["links"] += allowed
            write_report(report)
            print_report(report)
            sys.stdout.flush()
            say(f"report: build/boot/report.json ({time.monotonic() - started:.0f} s from power-on)")
            if options.stay:
                stay(options, report)
        finally:
            broker.terminate()
            broker.wait()
            SOCKET.unlink(missing_ok=True)
    lock.close()
    good = all(x["ok"] for x in report["links"] + report["denials"] + report["groups"])
    return 0 if good else 1


def boot_once(disk, variant, what):
    """Boots a machine that keeps its disk and its TPM. Returns what it said: the security version that it is committed to, or why it
    refused."""
    with image_machine(VM / "machine", variant, disks=[Disk(disk.path, read_only=False, write_through=True)], tpm=VM / "update/tpm") as machine:
        machine.start()
        say(f"{what}: booting under {machine.accel.upper()}")
        match = machine.wait_for(r"osguard: boot refused: (.*)|osguard-bless\[\d+\]: (.*)", 300, what="the machine's word")
        if match[1]:
            machine.wait_end(30)
        return (False, match[1]) if match[1] else (True, match[2])


def update(options):
    """A newer image into the idle slot of the powered-off disk; then the older one again, which must not boot."""
    lock = take_lock()
    for more in ((), ("--next", f"--variant={options.variant}")):
        if options.build and subprocess.run([TOP / "image/build", *more], check=False).returncode != 0:
            raise BootError("image/build failed")
    work = VM / "update"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    make_tpm(work / "tpm", AUTHORITY)
    disk = SystemDisk(OUT / f"disk-{options.variant}.raw", work / "disk.raw")
    newer = BUILD / "image-next"
    rows = [("this image", "slot A", True, *boot_once(disk, options.variant, "first boot"))]
    disk.install("b", newer / "root", newer / f"uki-{options.variant}.efi", esp_manifest(newer, options.variant))
    rows.append(("the next image", "slot B", True, *boot_once(disk, options.variant, "after the update")))
    disk.boot_from(OUT / f"uki-{options.variant}.efi")
    rows.append(("this image again", "slot A", False, *boot_once(disk, options.variant, "the older image again")))
    table(["IMAGE", "IN", "EXPECTED", "FOUND", ""], [[what, where, "boots" if wanted else "refused", said, mark(wanted == booted)]
                                                     for what, where, wanted, booted, said in rows])
    lock.close()
    return 0 if all(wanted == booted for _, _, wanted, booted, _ in rows) else 1


def main():
    options = arguments()
    try:
        return update(options) if options.update else boot(options)
    except (BootError, MachineError, subprocess.TimeoutExpired, OSError, ValueError) as error:
        print(f"image/boot: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("image/boot: interrupted, the machine is stopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
