# SPDX-License-Identifier: LGPL-2.1-or-later
"""The harness without a guest: what it says when something is wrong."""

import argparse
import contextlib
import io
import os
import socket
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "image")]

import guestfiles  # noqa: E402
import machine  # noqa: E402
import run  # noqa: E402


class FakeMachine:
    """A guest that printed `text` and then ended, or hangs."""

    def __init__(self, path, text, hangs=False):
        path.write_text(text)
        self.serial, self.hangs = machine.Log(path), hangs

    def running(self):
        return self.hangs

    def end_reason(self):
        return "guest-panic"


class Collect(unittest.TestCase):
    def judge(self, text, hangs=False, timeout=5):
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as said:
            fake = FakeMachine(Path(folder) / "log", text, hangs)
            suite = run.Suite("fake", Path(folder), argparse.Namespace(records=False, full=False))
            suite.collect(fake, fake.serial, timeout)
        return suite.passed, suite.failed, said.getvalue()

    def test_whole_plan(self):
        self.assertEqual(self.judge("TAP version 13\nok 1 - a\nok 2 - b # record: x; refused by: IPE\n1..2\n")[:2], (3, 0))

    def test_plan_first(self):
        self.assertEqual(self.judge("1..1\nok 1 - a\n")[:2], (2, 0))

    def test_failed_check(self):
        passed, failed, said = self.judge("ok 1 - a\nnot ok 2 - b # it worked\n1..2\n")
        self.assertEqual((passed, failed), (2, 1))
        self.assertIn("it worked", said)

    def test_no_plan(self):
        passed, failed, said = self.judge("ok 1 - a\n")
        self.assertEqual((passed, failed), (1, 1))
        self.assertIn("guest-panic", said)

    def test_short_plan(self):
        self.assertEqual(self.judge("ok 1 - a\n1..2\n")[1], 1)

    def test_empty_plan(self):
        self.assertEqual(self.judge("1..0\n")[1], 1)

    def test_wrong_number(self):
        self.assertEqual(self.judge("ok 1 - a\nok 3 - b\n1..2\n")[1], 1)

    def test_bail_out(self):
        passed, failed, said = self.judge("ok 1 - a\nBail out! no disk\n", hangs=True)
        self.assertEqual((passed, failed), (1, 1))
        self.assertIn("no disk", said)

    def test_half_a_line_is_no_check(self):
        self.assertEqual(self.judge("ok 1 - a\n1..2\nok 2 - b")[:2], (1, 1))

    def test_hanging_guest(self):
        passed, failed, said = self.judge("ok 1 - a\n", hangs=True, timeout=0.1)
        self.assertEqual((passed, failed), (1, 1))
        self.assertIn("still running", said)


class Errors(unittest.TestCase):
    def test_port_in_use_is_named(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            with self.assertRaisesRegex(machine.MachineError, f"127.0.0.1:{port}"):
                machine.check_port_free(port)

    def test_missing_program_is_named(self):
        with self.assertRaisesRegex(machine.MachineError, "no-such-program"):
            machine.program("no-such-program")

    def test_long_socket_path(self):
        with tempfile.TemporaryDirectory() as folder:
            deep = Path(folder) / ("x" * 150)
            deep.mkdir()
            with socket.socket(socket.AF_UNIX) as server:
                directory = os.open(deep, os.O_PATH)
                server.bind(f"/proc/self/fd/{directory}/s")
                os.close(directory)
                server.listen()
                machine.unix_connect(deep / "s", timeout=1).close()

    def test_missing_socket_is_named(self):
        started = time.monotonic()
        with self.assertRaisesRegex(machine.MachineError, "/nothing.sock"):
            machine.unix_connect(Path("/tmp/nothing.sock"), timeout=0.1)
        self.assertLess(time.monotonic() - started, 5)

    def test_dead_server_is_not_waited_for(self):
        started = time.monotonic()
        with self.assertRaises(machine.MachineError):
            machine.unix_connect(Path("/tmp/nothing.sock"), timeout=60, alive=lambda: False)
        self.assertLess(time.monotonic() - started, 5)

    def test_refused_start_says_why(self):
        with tempfile.TemporaryDirectory() as folder:
            broken = machine.Machine(Path(folder) / "m", accel="tcg", extra=["-device", "no-such-device"])
            with self.assertRaisesRegex(machine.MachineError, "no-such-device"):
                broken.start()
            self.assertFalse(broken.running())

    def test_not_a_snapshot(self):
        with tempfile.TemporaryDirectory() as folder:
            with self.assertRaisesRegex(machine.MachineError, "no snapshot"):
                machine.Machine(folder).check_snapshot(Path(folder))

    def test_secure_boot_needs_keys(self):
        with tempfile.TemporaryDirectory() as folder:
            with self.assertRaisesRegex(machine.MachineError, "PK"):
                machine.Firmware().enroll(Path(folder) / "vars.fd")

    def test_option_values_are_quoted(self):
        arguments = machine.Machine("/tmp/none", smbios=["a=b,c=d"], disks=[machine.Disk("/tmp/x,readonly=off")]).device_arguments()
        self.assertIn("type=11,value=a=b,,c=d", arguments)
        self.assertTrue(any("file=/tmp/x,,readonly=off," in a for a in arguments))


class Initramfs(unittest.TestCase):
    def test_archive_is_read_back(self):
        with tempfile.TemporaryDirectory() as folder:
            archive = guestfiles.Initramfs()
            archive.add("a/b/file", b"content", 0o644)
            archive.write(Path(folder) / "out")
            names = guestfiles.run("cpio", "--list", "--quiet", stdin=(Path(folder) / "out").read_bytes()).decode().split()
        self.assertEqual(names, ["a", "a/b", "a/b/file", "dev", "dev/console"])


if __name__ == "__main__":
    unittest.main()
