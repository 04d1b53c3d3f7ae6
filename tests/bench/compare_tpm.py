# SPDX-License-Identifier: LGPL-2.1-or-later
"""What tests/bench/tpm measures. Runs in the build root, where /tmp is a tmpfs of its own."""
import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
sys.path[:0] = [str(HERE), str(TOP / "image")]

import compare_boot  # noqa: E402
from boot import BootError, image_machine  # noqa: E402
from disk import SystemDisk  # noqa: E402
from figures import Aim, Figure, draw, host_machine, print_json, print_table  # noqa: E402
from machine import AUTHORITY, Disk, MachineError, die_with_parent, make_tpm, program  # noqa: E402
from packages import TreeError  # noqa: E402

PARTS = ("programs", "operations", "boot")
OPERATIONS = ("pcr", "counter", "quote", "unseal")
STEPS = ("esp", "versions", "measure", "volume", "promise")  # what binding the boot to the TPM adds to it
SUBJECTS = {"programs": {"ours": "lib/tpm", "peer": "tpm2-tools"}, "operations": {"ours": "lib/tpm", "peer": "one bare command"},
            "boot": {"later": "later boots", "first": "first boot"}}
BLESSED = r"osguard-bless\[\d+\]: generation"

# Aims
PROGRAM_PART, BOOT_PART = 0.5, 0.1

# The same work by tpm2-tools: salted sessions, the secret encrypted on its way. A TPM without a resource manager has room for three
# objects, and each tool leaves what it loaded.
FLUSH = "tpm2_flushcontext -t"
SRK = ("tpm2_createprimary -Q -C o -g sha256 -G ecc:null:aes128cfb -u unique -c srk.ctx "
       f"-a 'restricted|decrypt|fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda'; {FLUSH}")
SALTED = "tpm2_startauthsession -S s -g sha256 -c srk.ctx"
TOOLS = {
    "counter": f"{SRK}; {SALTED} --hmac-session; {FLUSH}; tpm2_nvread -C 0x018f0d01 -P session:s 0x018f0d01 -o counter; tpm2_flushcontext s",
    "quote": f"{SRK}; {SALTED} --hmac-session; {FLUSH}; tpm2_createprimary -Q -C e -g sha256 -G ecc:ecdsa-sha256:null -c ak.ctx "
             f"-a 'restricted|sign|fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda'; {FLUSH}; "
             "tpm2_quote -Q -c ak.ctx -p session:s -q 01020304 -m attest -s attest.signature -o attest.pcrs "
             f"-l sha256:0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15; {FLUSH}; tpm2_flushcontext s",
    "unseal": f"{SRK}; tpm2_loadexternal -Q -C o -G ecc -u owner.public -c key.ctx -n key.name; {FLUSH}; "
              f"tpm2_verifysignature -Q -c key.ctx -g sha256 -m to-sign -s signature -f ecdsa -t ticket; {FLUSH}; "
              f"tpm2_load -Q -C srk.ctx -u public -r private -c object.ctx; {FLUSH}; "
              f"{SALTED} --policy-session; {FLUSH}; tpm2_sessionconfig s --enable-encrypt; tpm2_policypcr -Q -S s -l sha256:7,11,12,14 -L pcr.policy; "
              "tpm2_policyauthorize -Q -S s -i pcr.policy -n key.name -t ticket "
              f"-q {b'holdfast-volume'.hex()}; tpm2_unseal -c object.ctx -p session:s -o secret; {FLUSH}; tpm2_flushcontext s",
}


def say(text):
    print(f"\033[1m==>\033[0m {text}", file=sys.stderr, flush=True)


def arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/tpm", add_help=False)
    parser.add_argument("--samples", type=int, default=9)
    parser.add_argument("--boots", type=int, default=3)
    parser.add_argument("--plots", type=pathlib.Path)
    parser.add_argument("--json", choices=("off", "short", "pretty"), default="off")
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--no-build", dest="build", action="store_false")
    parser.add_argument("--programs", type=pathlib.Path, default=TOP / "build/release")
    options = parser.parse_args()
    for name, value in (("samples", options.samples), ("boots", options.boots)):
        if not 1 <= value <= 100:
            parser.error(f"--{name}: 1 to 100 expected, found {value}")
    options.only = options.only or list(PARTS)
    return options


# Programs and operations, on a swtpm of the machine itself

@contextmanager
def swtpm(folder):
    """A new TPM, switched on; yields its TCTI."""
    state = folder / "state"
    state.mkdir()
    with subprocess.Popen([program("swtpm"), "socket", "--tpm2", "--tpmstate", f"dir={state}", "--server", f"type=unixio,path={folder}/tpm",
                           "--ctrl", f"type=unixio,path={folder}/tpm.ctrl", "--flags", "startup-clear"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent) as process:
        try:
            deadline = time.monotonic() + 10
            while not ((folder / "tpm").exists() and (folder / "tpm.ctrl").exists()):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise MachineError("swtpm did not start")
                time.sleep(0.02)
            yield f"swtpm:path={folder}/tpm"
        finally:
            process.kill()


def run(folder, tcti, *line):
    result = subprocess.run([str(word) for word in line], cwd=folder, env={**os.environ, "TPM2TOOLS_TCTI": tcti}, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise subprocess.SubprocessError(f"{line[0]}: status {result.returncode}: {result.stderr[-300:]}")
    return result.stdout


def prepare(folder, tcti, bench):
    run(folder, tcti, bench, "prepare", tcti, folder)
    run(folder, tcti, "openssl", "dgst", "-sha256", "-sign", "owner.key", "-out", "signature", "to-sign")
    run(folder, tcti, "openssl", "x509", "-in", "owner.pem", "-pubkey", "-noout", "-out", "owner.public")
    # TPMS_ECC_POINT as it lies in memory: two coordinates of 32 zeros in buffers of 128 bytes.
    (folder / "unique").write_bytes(((32).to_bytes(2, "little") + bytes(128)) * 2)


def program_figures(folder, tcti, bench, samples):
    """Both in turn; each from its first process to its last."""
    figures = []
    for name, script in TOOLS.items():
        say(f"{name}: {samples} of each")
        figures.append(Figure(name, "ms"))
        for _ in range(samples):
            for subject, line in (("ours", (bench, "run", tcti, folder, name)), ("peer", ("sh", "-ec", script))):
                started = time.perf_counter()
                run(folder, tcti, *line)
                figures[-1].add(subject, (time.perf_counter() - started) * 1000)
    if (folder / "secret").read_bytes() != b"what a bench seals is no secret\0":
        raise ValueError("tpm2_unseal: what was sealed expected, found something else")
    return figures


def operation_figures(report):
    """Of bench-tpm's report, in milliseconds."""
    samples = {name: [s * 1000 for s in seconds] for name, seconds in report.items()}
    return [Figure(name, "ms", {"ours": samples[name], "peer": samples["random"]}) for name in OPERATIONS]


def measure_swtpm(options, results):
    bench = options.programs.resolve() / "tests/bench/bench-tpm"
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        with swtpm(folder) as tcti:
            prepare(folder, tcti, bench)
            if "programs" in options.only:
                results["programs"] = program_figures(folder, tcti, bench, options.samples)
            if "operations" in options.only:
                say(f"operations: {5 * options.samples} of each")
                results["operations"] = operation_figures(json.loads(run(folder, tcti, bench, "rounds", tcti, folder, 5 * options.samples)))


# Boots

def step_times(serial):
    """Seconds that each step of osguard took, by its name."""
    ends = re.findall(r"osguard: (?:start|(\S+) done) at ([0-9.]+) s", serial)
    times = {name: round(float(end) - float(before), 2) for (_, before), (name, end) in zip(ends, ends[1:])}
    missing = [step for step in STEPS if step not in times]
    if missing:
        raise BootError(f"osguard's step {missing[0]}: not found on the serial port")
    return times


def boot_once(work, disks, tpm):
    """Boots to the blessing and until the disk has all of it; the times of STEPS, their sum, and the time from init to ready."""
    with image_machine(work / "machine", "test", disks=disks, tpm=tpm) as machine:
        machine.start()
        machine.wait_for(BLESSED, compare_boot.BOOT_SECONDS, what="the blessing")
        log = machine.port_logs[compare_boot.PORT]
        machine.wait_for(r"^(end|error)=", compare_boot.BOOT_SECONDS, log=log, what="the reporter")
        machine.serial.poll()
        report, serial = compare_boot.parse_report(log.text), machine.serial.text
    times = step_times(serial)
    values = {step: times[step] for step in STEPS}
    values["added"] = sum(values.values())
    values["init to ready"] = report["ActiveEnterTimestampMonotonic"] / 1e6 - compare_boot.init_time("holdfast", report, serial)
    values["part of init to ready"] = values["added"] / values["init to ready"]
    return values


def measure_boot(options, results):
    """Each machine boots twice: it makes its volume and its records; then it finds them."""
    if options.build:
        compare_boot.build_image()
    compare_boot.make_payload()
    folder, work, figures = compare_boot.link_image(), compare_boot.OUT / "tpm", {}
    for sample in range(options.boots):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        make_tpm(work / "tpm", AUTHORITY)
        disk = SystemDisk(folder / "disk-test.raw", work / "disk.raw")
        disks = [Disk(disk.path, read_only=False, write_through=True), Disk(folder / "store.raw"), Disk(compare_boot.OUT / "payload.raw")]
        for subject in ("first", "later"):
            say(f"machine {sample + 1} of {options.boots}: {SUBJECTS['boot'][subject]} (load of the host: {os.getloadavg()[0]:.1f})")
            for name, value in boot_once(work, disks, work / "tpm").items():
                figures.setdefault(name, Figure(name, "" if name.startswith("part") else "s")).add(subject, value)
    shutil.rmtree(work)
    results["boot"] = list(figures.values())


# Results

def aims_of(part, figures):
    by_name = {f.name: f for f in figures}
    if part == "programs":
        return [Aim(f"{name}: part of tpm2-tools' time", by_name[name].median("ours") / by_name[name].median("peer"), PROGRAM_PART)
                for name in ("quote", "unseal")]
    if part == "boot":
        return [Aim("later boots: added, part of init to ready", by_name["part of init to ready"].median("later"), BOOT_PART)]
    return []


def bench(options):
    results, machine = {}, {**host_machine(), "tpm": "swtpm", "load_before": round(os.getloadavg()[0], 1)}
    if {"programs", "operations"} & set(options.only):
        measure_swtpm(options, results)
    if "boot" in options.only:
        with compare_boot.take_lock():
            measure_boot(options, results)
    aims = {part: aims_of(part, figures) for part, figures in results.items()}
    every = [aim for part in aims.values() for aim in part]
    for part, figures in results.items():
        if options.json == "off":
            print_table(figures, SUBJECTS[part], machine, aims[part])
            print()
        if options.plots:
            limits = {"part of init to ready": BOOT_PART} if part == "boot" else {}
            say(f"drawn: {draw(figures, SUBJECTS[part], limits, options.plots, f'tpm-{part}', f'The TPM (swtpm): {part}')}")
    if options.json != "off":
        print_json([f for part in results.values() for f in part], machine, every, options.json == "pretty")
    return 0 if all(a.met for a in every) else 1


def main():
    try:
        return bench(arguments())
    except (BootError, MachineError, TreeError, OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
        print(f"tests/bench/tpm: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
