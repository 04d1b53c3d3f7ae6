# SPDX-License-Identifier: LGPL-2.1-or-later
"""One virtual machine under QEMU: the only place that starts one, for image/boot and for every test in tests/vm.

    with Machine(work, kernel=…, initrd=…, append=…) as m:
        m.start()
        m.wait_for(r"^1\\.\\.\\d+", timeout=120)

It runs inside the build root (ci/shell), where qemu, swtpm, OVMF and virt-fw-vars are. Everything that belongs to a
machine (sockets, logs, its copy of the firmware variables, its TPM) lies in its work directory. Its processes die with
the thread that called start(), so start machines from the main thread.
"""

import contextlib
import ctypes
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

VM = Path(__file__).resolve().parent.parent / "build/vm"
CACHE = VM / "accelerator.json"
AUTHORITY = VM / "tpm-authority"  # that signs the endorsement keys of our TPMs
OVMF = Path("/usr/share/OVMF")
OWNER = "6b0f3c59-5a0e-4a5e-9d3a-1f3f0a4e7c11"  # owner GUID of the entries that we put into PK, KEK and db
UPLINK_HOST = "10.0.2.2"
GUEST_ADDRESS = "10.0.2.15"
SERIAL_TAIL = 25
PR_SET_PDEATHSIG = 1
SWTPM_SET_DATAFD = 0x10  # of swtpm's control channel


class MachineError(Exception):
    """The machine could not do what was asked; the message is complete, with the last serial lines where they help."""


@dataclass
class Disk:
    """A virtio-blk disk. Without read_only, writes go to a qcow2 overlay in the work directory and path stays as it is,
    unless write_through. serial is what /sys/block/*/serial shows."""

    path: Path
    read_only: bool = True
    write_through: bool = False
    serial: str = ""
    bootindex: int | None = None


@dataclass
class Firmware:
    """OVMF. db is the list of PEM certificates that the firmware (and the kernel's .platform keyring) trusts. With
    secure_boot, pk and kek are enrolled too and unsigned binaries do not start; the kernel reads db in either case."""

    db: list[Path] = field(default_factory=list)
    pk: Path | None = None
    kek: Path | None = None
    secure_boot: bool = True

    def code(self):
        return OVMF / ("OVMF_CODE_4M.secboot.fd" if self.secure_boot else "OVMF_CODE_4M.fd")

    def enroll(self, out):
        """Writes the variable store of a new machine."""
        argv = [program("virt-fw-vars"), "--loglevel", "error", "-i", OVMF / "OVMF_VARS_4M.fd", "-o", out]
        if self.secure_boot:
            if not self.pk or not self.kek:
                raise MachineError("Secure Boot needs a PK and a KEK certificate")
            argv += ["--set-pk", OWNER, self.pk, "--add-kek", OWNER, self.kek, "--sb"]
        for certificate in self.db:
            argv += ["--add-db", OWNER, certificate]
        run(*argv)


def die_with_parent():
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def program(name):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        raise MachineError(f"{name} not found: machines run inside the build root (ci/shell)")
    return path


def run(*argv):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=False)
    if done.returncode:
        raise MachineError(f"{Path(str(argv[0])).name} failed ({done.returncode}): {(done.stderr or done.stdout).strip()[-400:]}")
    return done.stdout


def quoted(value):
    """A value inside a comma separated QEMU option."""
    return str(value).replace(",", ",,")


def unix_connect(path, timeout=5.0, alive=lambda: True):
    """Connects to a UNIX socket whose path may be longer than sun_path, and waits for it to appear while alive() holds."""
    path = Path(path)
    deadline = time.monotonic() + timeout
    while True:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            sock.connect(f"/proc/self/fd/{directory}/{path.name}")
            return sock
        except OSError as error:
            sock.close()
            if time.monotonic() > deadline or not alive():
                raise MachineError(f"{path}: no answer for {timeout:.0f} s: {error.strerror}") from error
        finally:
            os.close(directory)
        time.sleep(0.02)


def check_port_free(port):
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError as error:
            raise MachineError(f"local port {port} cannot be used to reach the machine: 127.0.0.1:{port}: {error.strerror}") from error


def free_port():
    """A local port that nobody uses now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Log:
    """A file that QEMU appends to, followed by one reader."""

    def __init__(self, path):
        self.path = Path(path)
        self.offset = 0
        self.text = ""

    def poll(self):
        """Reads what is new; returns it."""
        try:
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                new = file.read()
        except FileNotFoundError:
            return ""
        self.offset += len(new)
        new = new.decode("utf-8", "replace").replace("\r", "")
        self.text += new
        return new

    def tail(self, lines=SERIAL_TAIL):
        self.poll()
        printable = re.sub(r"\x1b\[[0-9;?=]*[a-zA-Z]", "", self.text)
        return "\n".join(f"    | {line}" for line in printable.splitlines()[-lines:])


class Stream(Log):
    """A virtio-serial port of kind 'socket' as a log that can also be written to. A guest's writes wait until it is open."""

    def __init__(self, sock):
        super().__init__("/nonexistent")
        self.sock = sock
        self.sock.setblocking(False)

    def poll(self):
        new = b""
        with contextlib.suppress(BlockingIOError):
            while part := self.sock.recv(65536):
                new += part
            raise MachineError("the machine closed its end of the virtio-serial port")
        text = new.decode("utf-8", "replace").replace("\r", "")
        self.text += text
        return text

    def send(self, text):
        self.sock.setblocking(True)
        self.sock.sendall(text.encode())
        self.sock.setblocking(False)


class Qmp:
    """QEMU's control socket: one command at a time; events are kept in order."""

    def __init__(self, path, alive):
        self.sock = unix_connect(path, timeout=20, alive=alive)
        self.sock.settimeout(60)
        self.file = self.sock.makefile("rw", encoding="utf-8", newline="\n")
        self.events = []
        try:
            self.receive()
            self.command("qmp_capabilities")
        except MachineError:
            self.close()
            raise

    def receive(self):
        line = self.file.readline()
        if not line:
            raise MachineError("QEMU closed its control socket")
        return json.loads(line)

    def command(self, execute, **arguments):
        self.file.write(json.dumps({"execute": execute, "arguments": arguments}) + "\n")
        self.file.flush()
        while True:
            answer = self.receive()
            if "event" in answer:
                self.events.append(answer)
            elif "error" in answer:
                raise MachineError(f"QEMU refused {execute}: {answer['error']['desc']}")
            else:
                return answer["return"]

    def drain(self):
        """Takes the events that are left after QEMU ended."""
        self.sock.settimeout(1)
        try:
            while line := self.file.readline():
                answer = json.loads(line)
                if "event" in answer:
                    self.events.append(answer)
        except (OSError, ValueError):
            pass

    def close(self):
        self.file.close()
        self.sock.close()


def accelerator(kernel, cache=CACHE):
    """'kvm' where a stock kernel really runs under it, else 'tcg'. /dev/kvm alone proves nothing, so a guest is started
    once per host boot, QEMU and kernel: it must come as far as looking for its root."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    qemu = program("qemu-system-x86_64")
    facts = [Path("/proc/sys/kernel/random/boot_id").read_text(), Path(kernel).name, os.stat(kernel).st_size, os.stat(qemu).st_mtime_ns]
    key = hashlib.sha256(repr(facts).encode()).hexdigest()
    try:
        known = json.loads(cache.read_text())
        if known["key"] == key and known["accelerator"] in ("kvm", "tcg"):
            return known["accelerator"]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    argv = [qemu, "-accel", "kvm", "-machine", "q35", "-cpu", "host", "-m", "256", "-nodefaults", "-no-user-config", "-display", "none",
            "-no-reboot", "-serial", "stdio", "-kernel", str(kernel), "-append", "console=ttyS0 panic=-1"]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False, preexec_fn=die_with_parent)
        answer = "kvm" if b"Unable to mount root fs" in done.stdout else "tcg"
    except subprocess.TimeoutExpired:
        answer = "tcg"
    cache.parent.mkdir(parents=True, exist_ok=True)
    new = cache.with_suffix(".new")
    new.write_text(json.dumps({"key": key, "accelerator": answer}) + "\n")
    new.replace(cache)
    return answer


def make_tpm(state, authority):
    """A TPM as its maker delivers it, in the directory state: with endorsement keys whose certificates the authority signed. The
    authority is a directory too, made when it is not there; its root is issuer.pem."""
    authority.mkdir(parents=True, exist_ok=True)
    (authority / "localca.conf").write_text(f"statedir = {authority}\nsigningkey = {authority}/signing.pem\nissuercert = {authority}/issuer.pem\n"
                                            f"certserial = {authority}/serial\n")
    (authority / "localca.options").write_text("--platform-manufacturer Holdfast\n--platform-version 1\n--platform-model VM\n")
    (authority / "setup.conf").write_text(f"create_certs_tool = {program('swtpm_localca')}\ncreate_certs_tool_config = {authority}/localca.conf\n"
                                          f"create_certs_tool_options = {authority}/localca.options\n")
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True)
    run(program("swtpm_setup"), "--tpm2", "--tpmstate", state, "--create-ek-cert", "--create-platform-cert", "--lock-nvram",
        "--config", authority / "setup.conf", "--logfile", authority / "setup.log")


def tpm_read_pcr(sock, pcr):
    """TPM2_PCR_Read of one PCR of the SHA-256 bank, in hex."""
    select = (1 << pcr).to_bytes(3, "little")
    sock.sendall(struct.pack(">HIIIHB", 0x8001, 20, 0x17e, 1, 0x000b, 3) + select)
    answer = sock.recv(4096)
    code = struct.unpack(">I", answer[6:10])[0]
    if code or len(answer) != 10 + 4 + 10 + 4 + 2 + 32:
        raise MachineError(f"the TPM does not tell PCR {pcr}: {code:#x}")
    return answer[-32:].hex()


class Machine:
    """work       directory of this machine; emptied by start()
    kernel…    direct boot (with firmware too: OVMF then loads it); without kernel the firmware boots a disk
    firmware   Firmware, or None for none
    disks      list of Disk; the guest sees vda, vdb, … in this order
    tpm        True: a new TPM at each start; or the directory of one from make_tpm(), which lives on
    ports      virtio-serial ports {name: 'file' | 'socket'}: a log to follow, or a socket for connect_port()
    forwards   {local port: (guest address, guest port)} on 127.0.0.1
    smbios     strings of SMBIOS type 11; fw_cfg {name: text}: both for tests of injection
    hold       a machine that powers off stays, with its TPM, until stop() or pcrs()
    accel      'kvm', 'tcg' or None: the answer of accelerator() for probe_kernel"""

    def __init__(self, work, *, kernel=None, initrd=None, append="", firmware=None, disks=(), tpm=False, net=True, ports=None,
                 forwards=None, smbios=(), fw_cfg=None, memory=1024, cpus=2, accel=None, probe_kernel=None, hold=False, extra=()):
        self.work = Path(work).absolute()
        self.kernel, self.initrd, self.append = kernel, initrd, append
        self.firmware, self.disks, self.tpm, self.net = firmware, list(disks), tpm, net
        self.ports, self.forwards = dict(ports or {}), dict(forwards or {})
        self.smbios, self.fw_cfg = list(smbios), dict(fw_cfg or {})
        self.memory, self.cpus, self.hold, self.extra = memory, cpus, hold, list(extra)
        self.accel, self.probe_kernel = accel, probe_kernel or kernel
        self.qemu = self.swtpm = self.qmp = None
        self.serial = Log(self.work / "serial.log")
        self.port_logs = {name: Log(self.work / f"port-{name}.log") for name, kind in self.ports.items() if kind == "file"}
        self.started = 0.0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    # Start and stop

    def start(self, snapshot=None):
        """Starts the machine, from power-on or from a directory that save() wrote for a machine with the same arguments."""
        for port in self.forwards:
            check_port_free(port)
        if self.accel is None:
            self.accel = accelerator(self.probe_kernel) if self.probe_kernel else "tcg"
        if snapshot:
            self.check_snapshot(Path(snapshot))
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        self.make_files(Path(snapshot) if snapshot else None)
        if self.tpm:
            self.start_tpm()
        argv = self.arguments() + (["-incoming", "defer"] if snapshot else [])
        self.qemu = self.spawn("qemu", argv)
        self.started = time.monotonic()
        try:
            self.qmp = Qmp(self.work / "qmp.sock", self.running)
            if snapshot:
                self.qmp.command("migrate-incoming", uri=f"file:{Path(snapshot).absolute() / 'state'}")
                self.wait_migration("query-migrate", "restore")
            self.qmp.command("cont")
        except (MachineError, OSError) as error:
            self.stop()
            said = self.program_log("qemu")
            raise MachineError(f"QEMU did not start: {error}" + (f"; it said: {said}" if said else "")) from error

    def spawn(self, name, argv):
        with open(self.work / f"{name}.log", "wb") as log:
            return subprocess.Popen(argv, cwd=self.work, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                    start_new_session=True, preexec_fn=die_with_parent)

    def program_log(self, name):
        try:
            return (self.work / f"{name}.log").read_text(errors="replace").strip()[-600:]
        except OSError:
            return ""

    def start_tpm(self):
        state = self.work / "tpm" if self.tpm is True else Path(self.tpm).absolute()
        if self.tpm is True:
            make_tpm(state, AUTHORITY)
        self.swtpm = self.spawn("swtpm", [program("swtpm"), "socket", "--tpm2", "--tpmstate", f"dir={state}", "--ctrl", "type=unixio,path=tpm.sock"])
        deadline = time.monotonic() + 5
        while not (self.work / "tpm.sock").exists():
            if self.swtpm.poll() is not None or time.monotonic() > deadline:
                raise MachineError(f"swtpm did not start: {self.program_log('swtpm')}")
            time.sleep(0.02)

    def stop(self):
        """Ends the machine at once and reaps its processes. Safe to call at any time and twice."""
        for process in (self.qemu, self.swtpm):
            if process is not None and process.poll() is None:
                process.terminate()
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        if self.qmp is not None:
            self.qmp.close()
        self.qemu = self.swtpm = self.qmp = None

    # What QEMU is given

    def make_files(self, snapshot):
        for i, disk in enumerate(self.disks):
            if not disk.read_only and not disk.write_through:
                if snapshot:
                    shutil.copy(snapshot / f"disk-{i}.qcow2", self.work)
                else:
                    run(program("qemu-img"), "create", "-q", "-f", "qcow2", "-F", "raw", "-b", Path(disk.path).absolute(),
                        self.work / f"disk-{i}.qcow2")
        for i, text in enumerate(self.fw_cfg.values()):
            (self.work / f"fw_cfg-{i}").write_text(text)
        if self.firmware and snapshot:
            shutil.copy(snapshot / "vars.fd", self.work)
        elif self.firmware:
            self.firmware.enroll(self.work / "vars.fd")

    def arguments(self):
        argv = [program("qemu-system-x86_64"), "-name", "holdfast", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-S",
                "-m", str(self.memory), "-smp", str(self.cpus), "-chardev", "socket,id=serial,path=serial.sock,server=on,wait=off,logfile=serial.log", "-serial", "chardev:serial",
                "-chardev", "socket,id=qmp,path=qmp.sock,server=on,wait=off", "-mon", "chardev=qmp,mode=control"]
        argv += ["-no-shutdown"] if self.hold else []
        argv += ["-accel", "kvm", "-cpu", "host"] if self.accel == "kvm" else ["-accel", "tcg,thread=multi", "-cpu", "max,la57=off"]
        if self.firmware:
            argv += ["-machine", f"q35,smm={'on' if self.firmware.secure_boot else 'off'}",
                     "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={self.firmware.code()}",
                     "-drive", "if=pflash,unit=1,format=raw,file=vars.fd"]
            if self.firmware.secure_boot:
                argv += ["-global", "driver=cfi.pflash01,property=secure,value=on"]
        else:
            argv += ["-machine", "q35,smm=off"]
        if self.kernel:
            argv += ["-kernel", str(Path(self.kernel).absolute()), "-append", self.append]
            argv += ["-initrd", str(Path(self.initrd).absolute())] if self.initrd else []
        return argv + self.device_arguments() + [str(a) for a in self.extra]

    def device_arguments(self):
        argv = []
        for i, disk in enumerate(self.disks):
            overlay = not disk.read_only and not disk.write_through
            path, form = (f"disk-{i}.qcow2", "qcow2") if overlay else (Path(disk.path).absolute(), "raw")
            argv += ["-drive", f"if=none,id=disk{i},format={form},file={quoted(path)},readonly={'on' if disk.read_only else 'off'},"
                     f"discard=unmap,file.locking={'off' if disk.read_only else 'auto'}"]
            argv += ["-device", f"virtio-blk-pci,drive=disk{i}" + (f",serial={quoted(disk.serial)}" if disk.serial else "")
                     + (f",bootindex={disk.bootindex}" if disk.bootindex is not None else "")]
        if self.net:
            rules = "".join(f",hostfwd=tcp:127.0.0.1:{port}-{to[0]}:{to[1]}" for port, to in self.forwards.items())
            argv += ["-netdev", f"user,id=uplink{rules}", "-device", "virtio-net-pci,netdev=uplink,romfile="]
        if self.tpm:
            argv += ["-chardev", "socket,id=tpm,path=tpm.sock", "-tpmdev", "emulator,id=tpm0,chardev=tpm", "-device", "tpm-crb,tpmdev=tpm0"]
        argv += ["-device", "virtio-serial-pci"] if self.ports else []
        for i, (name, kind) in enumerate(self.ports.items()):
            backend = f"file,path={quoted(f'port-{name}.log')}" if kind == "file" else \
                f"socket,path={quoted(f'port-{name}.sock')},server=on,wait=off"
            argv += ["-chardev", f"{backend},id=port{i}", "-device", f"virtserialport,chardev=port{i},name={quoted(name)}"]
        for text in self.smbios:
            argv += ["-smbios", f"type=11,value={quoted(text)}"]
        for i, name in enumerate(self.fw_cfg):
            argv += ["-fw_cfg", f"name={quoted(name)},file=fw_cfg-{i}"]
        return argv

    # While it runs

    def seconds(self):
        """Wall-clock seconds since power-on."""
        return time.monotonic() - self.started

    def running(self):
        return self.qemu is not None and self.qemu.poll() is None

    def connect_serial(self):
        """The host's end of the serial port, to write to it; what the guest prints is in self.serial all the same."""
        return unix_connect(self.work / "serial.sock")

    def connect_port(self, name):
        """The host's end of a virtio-serial port of kind 'socket'. One connection at a time."""
        return unix_connect(self.work / f"port-{name}.sock")

    def add_forward(self, port, address=GUEST_ADDRESS, guest_port=80):
        """Forwards 127.0.0.1:port to a TCP port of an address on the uplink's subnet."""
        check_port_free(port)
        said = self.qmp.command("human-monitor-command", **{"command-line": f"hostfwd_add uplink tcp:127.0.0.1:{port}-{address}:{guest_port}"})
        if said.strip():
            raise MachineError(f"local port {port} cannot be forwarded to {address}:{guest_port}: {said.strip()}")

    def remove_forward(self, port):
        self.qmp.command("human-monitor-command", **{"command-line": f"hostfwd_remove uplink tcp:127.0.0.1:{port}"})

    def wait_for(self, pattern, timeout, *, log=None, fail=r"Kernel panic - not syncing", what=None):
        """Waits until pattern (MULTILINE) is in the log (default: the serial port) and returns the match. Text before an
        earlier match counts too. A match of fail, the machine's end or the timeout raise with the last lines."""
        log = log or self.serial
        deadline = time.monotonic() + timeout
        what = what or repr(pattern)
        while True:
            alive = self.running()
            log.poll()
            if match := re.search(pattern, log.text, re.M):
                self.progress("")
                return match
            if log is not self.serial:
                self.serial.poll()
            bad = re.search(fail, self.serial.text, re.M) if fail else None
            if bad or not alive or time.monotonic() > deadline:
                self.progress("")
                reason = (f"the guest said {bad.group(0)!r}" if bad else f"the machine ended ({self.end_reason()})" if not alive
                          else f"nothing for {timeout:.0f} s")
                raise MachineError(f"waiting for {what}: {reason}; last serial lines:\n{self.serial.tail()}")
            self.progress(what)
            time.sleep(0.05)

    def wait_end(self, timeout):
        """Waits until the guest powers off or resets; returns QEMU's reason ('guest-shutdown', 'guest-reset', …)."""
        deadline = time.monotonic() + timeout
        while not self.ended():
            if time.monotonic() > deadline:
                self.progress("")
                raise MachineError(f"waiting for power-off: still running after {timeout:.0f} s; last serial lines:\n{self.serial.tail()}")
            self.progress("power-off")
            time.sleep(0.05)
        self.progress("")
        self.serial.poll()
        return self.end_reason()

    def ended(self):
        return not self.running() or self.hold and self.qmp.command("query-status")["status"] == "shutdown"

    def end_reason(self):
        if self.qmp is not None:
            if not self.running():
                self.qmp.drain()
            for event in reversed(self.qmp.events):
                if event["event"] == "SHUTDOWN":
                    return event["data"].get("reason", "unknown")
        status = self.qemu.returncode if self.qemu else None
        return f"QEMU exited with {status}: {self.program_log('qemu')}"

    def pcrs(self):
        """Ends the machine, at once and without a word to its TPM, and reads what PCRs 0 to 23 (SHA-256) hold then."""
        self.qemu.kill()
        self.qemu.wait()
        with unix_connect(self.work / "tpm.sock") as control:
            ours, theirs = socket.socketpair()
            socket.send_fds(control, [struct.pack(">I", SWTPM_SET_DATAFD)], [theirs.fileno()])
            theirs.close()
            if control.recv(4) != bytes(4):
                raise MachineError("swtpm does not take another client")
            with ours:
                return [tpm_read_pcr(ours, pcr) for pcr in range(24)]

    def progress(self, what):
        if not sys.stderr.isatty():
            return
        last = next((l for l in reversed(self.serial.text[-400:].splitlines()) if l.strip()), "")
        last = re.sub(r"[^\x20-\x7e]", "", re.sub(r"\x1b\[[0-9;?=]*[a-zA-Z]", "", last))
        text = f"    {self.seconds():4.0f} s  waiting for {what:.40}  {last:.70}" if what else ""
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()

    # Snapshots

    def fingerprint(self):
        """What must be the same for a saved state to be taken up again: the arguments and the files they name."""
        facts = [self.accel] + [a for a in self.arguments() if not a.startswith("user,")]
        for path in [self.kernel, self.initrd] + [d.path for d in self.disks]:
            if path:
                status = os.stat(path)
                facts.append((str(path), status.st_size, status.st_mtime_ns))
        return hashlib.sha256(repr(facts).encode()).hexdigest()

    def check_snapshot(self, snapshot):
        try:
            saved = json.loads((snapshot / "machine.json").read_text())
        except (OSError, ValueError) as error:
            raise MachineError(f"{snapshot}: no snapshot of a machine: {error}") from error
        if saved.get("fingerprint") != self.fingerprint():
            raise MachineError(f"{snapshot}: the snapshot is of a machine with other arguments or files")

    def save(self, snapshot):
        """Writes the running machine, its memory, TPM, firmware variables and disk overlays, to a directory, and ends it."""
        snapshot = Path(snapshot).absolute()
        new = snapshot.with_name(snapshot.name + ".new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        self.qmp.command("stop")
        self.qmp.command("migrate", uri=f"file:{new / 'state'}")
        self.wait_migration("query-migrate", "save")
        fingerprint = self.fingerprint()
        self.qmp.command("quit")
        self.qemu.wait(10)
        for i, disk in enumerate(self.disks):
            if not disk.read_only and not disk.write_through:
                shutil.copy(self.work / f"disk-{i}.qcow2", new)
        if self.firmware:
            shutil.copy(self.work / "vars.fd", new)
        self.stop()
        (new / "machine.json").write_text(json.dumps({"fingerprint": fingerprint}) + "\n")
        shutil.rmtree(snapshot, ignore_errors=True)
        new.rename(snapshot)

    def wait_migration(self, query, what):
        deadline = time.monotonic() + 120
        while True:
            answer = self.qmp.command(query)
            status = answer.get("status", "none")
            if status == "completed":
                return
            if status in ("failed", "cancelled") or time.monotonic() > deadline:
                raise MachineError(f"snapshot: {what}: {answer.get('error-desc', status)}")
            time.sleep(0.05)
