# SPDX-License-Identifier: LGPL-2.1-or-later
"""The root tree: what is in it, what must never be in it, its units, and that a second run gives the same tree."""
import fnmatch
import hashlib
import json
import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys
import unittest

import packages

TOP = pathlib.Path(__file__).resolve().parents[2]
WORK = pathlib.Path(os.environ["WORK"]) / "tree"
ROOT = WORK / "root"
RECIPE = TOP / "image/root"
MOUNT_NAMESPACE = ("ProtectSystem", "ProtectHome", "ProtectProc", "ProcSubset", "ProtectControlGroups", "ProtectKernelLogs",
                   "ProtectKernelModules", "ProtectKernelTunables", "ProtectHostname", "PrivateDevices", "PrivateTmp", "PrivateMounts",
                   "RootDirectory", "RootImage", "ReadOnlyPaths", "ReadWritePaths", "InaccessiblePaths", "BindPaths", "TemporaryFileSystem",
                   "DynamicUser", "LoadCredential", "MountFlags", "ExtensionImages", "NoExecPaths", "ExecPaths")


def build(output, *arguments):
    """Runs image/tree with stand-ins for our programs and certificates."""
    stand_ins = WORK / "stand-ins"
    stand_ins.mkdir(parents=True, exist_ok=True)
    for name in ("attest", "osguard", "osguard-bless", "groupctl", "groupd", "container-init"):
        shutil.copyfile("/usr/bin/cp", stand_ins / name)
        (stand_ins / name).chmod(0o755)
    for name in ("boot", "rootfs", "layer", "policy", "manifest", "test", "build"):
        (stand_ins / f"{name}.pem").write_text("stand-in\n")
    return subprocess.run([sys.executable, "-B", TOP / "image/tree.py", "--output", output, "--programs", stand_ins, "--trust", stand_ins,
                           *arguments], capture_output=True, text=True, check=False)


def entries(root):
    return sorted(p for p in root.rglob("*"))


def fingerprint(root):
    """Everything that an image made of the tree would hold."""
    lines = []
    for path in entries(root):
        found = path.lstat()
        content = os.readlink(path) if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        lines.append((str(path.relative_to(root)), oct(found.st_mode), found.st_uid, found.st_gid, found.st_mtime_ns, content))
    return lines


def analyze(*arguments):
    return subprocess.run(["systemd-analyze", f"--root={ROOT}", "--no-pager", *arguments], capture_output=True, text=True, check=False)


def setUpModule():
    done = build(WORK)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)


class Tree(unittest.TestCase):
    def test_no_setuid_no_device_nothing_writable_by_others(self):
        for path in entries(ROOT):
            mode = path.lstat().st_mode
            self.assertTrue(stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode), path)
            self.assertFalse(mode & (stat.S_ISUID | stat.S_ISGID), path)
            if path != ROOT / "tmp" and not path.is_symlink():
                self.assertFalse(mode & 0o022, path)

    def test_no_shell_interpreter_or_package_manager(self):
        programs = {p.name for p in (ROOT / "usr/bin").iterdir()}
        self.assertEqual(programs, {"attest", "crun", "groupctl", "journalctl", "osguard", "systemctl"})
        for path in entries(ROOT):
            if path.is_file() and os.access(path, os.X_OK):
                self.assertTrue(packages.is_elf(path), path)

    def test_every_library_is_there(self):
        libraries = {p.name for p in entries(ROOT) if ".so" in p.name}
        for soname, wanted_by in packages.needed_libraries(p for p in entries(ROOT) if p.is_file()):
            self.assertIn(soname, libraries, wanted_by)

    def test_units_are_the_allow_list(self):
        units = ROOT / "usr/lib/systemd/system"
        recipe = {str(p.relative_to(RECIPE / "units")) for p in (RECIPE / "units").rglob("*") if p.is_file()}
        self.assertEqual({str(p.relative_to(units)) for p in units.rglob("*") if not p.is_dir()}, recipe | {"default.target"})
        self.assertEqual(os.readlink(units / "default.target"), "holdfast.target")
        for folder in ("system-generators", "user", "user-generators", "system-environment-generators", "system-shutdown"):
            self.assertFalse((ROOT / "usr/lib/systemd" / folder).exists(), folder)

    def test_units_load(self):
        done = analyze("verify", "--recursive-errors=yes", "--man=no", "holdfast.target")
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_programs_of_units_exist(self):
        for unit in (RECIPE / "units").glob("*.service"):
            for program in re.findall(r"^Exec\w+=[!+@:-]*(\S+)", unit.read_text(), re.M):
                if not program.startswith("/run/holdfast/payload/"):
                    self.assertTrue((ROOT / program.lstrip("/")).exists(), f"{unit.name}: {program}")

    def test_groupd_shares_the_mount_namespace(self):
        text = (RECIPE / "units/groupd.service").read_text()
        for option in MOUNT_NAMESPACE:
            self.assertNotRegex(text, rf"(?m)^{option}=")

    def test_each_exposure_has_a_reason(self):
        reasons = json.loads((RECIPE / "exposures.json").read_text())
        used = set()
        for unit in sorted(p.stem for p in (RECIPE / "units").glob("*.service") if "ExecStart=" in p.read_text()):
            done = analyze("security", "--offline=true", "--json=short", f"{unit}.service")
            for finding in json.loads(done.stdout):
                if float(finding.get("exposure") or 0) == 0:
                    continue
                matching = [(i, name) for i, r in enumerate(reasons) if any(fnmatch.fnmatch(unit, u) for u in r["units"])
                            for name in r["names"] if name in (finding["name"], "*")]
                self.assertTrue(matching, f"{unit}: {finding['name']} has no reason in exposures.json")
                used |= set(matching)
        self.assertEqual({(i, n) for i, r in enumerate(reasons) for n in r["names"]} - used, set(), "reasons that nothing needs")

    def test_nobody_can_log_in(self):
        for line in (ROOT / "etc/passwd").read_text().splitlines():
            self.assertEqual(line.split(":")[1], "*")
        self.assertFalse((ROOT / "etc/shadow").exists())
        self.assertEqual((ROOT / "etc/machine-id").read_text(), "")

    def test_no_selinux_policy_file(self):
        """systemd would load it again after switch-root."""
        self.assertEqual([p for p in entries(ROOT) if re.fullmatch(r"policy\.\d+", p.name)], [])

    def test_package_list_names_owners(self):
        listed = {p["name"]: p for p in json.loads((WORK / "packages.json").read_text())}
        self.assertIn("systemd", listed)
        self.assertNotIn("mount", listed)
        for package in listed.values():
            self.assertTrue(package["version"] and package["source"])

    def test_second_run_gives_the_same_tree(self):
        first = fingerprint(ROOT)
        self.assertEqual(build(WORK).returncode, 0)
        self.assertEqual(fingerprint(ROOT), first)
        self.assertEqual({f[4] for f in first}, {0})

    def test_size(self):
        self.assertLess(sum(p.stat().st_size for p in entries(ROOT) if p.is_file() and not p.is_symlink()), 60 << 20)


class Refusals(unittest.TestCase):
    def assert_refused(self, done, *words):
        self.assertEqual(done.returncode, 2)
        for word in words:
            self.assertIn(word, done.stderr)

    def added(self, name, mode=0o644, content=b"\x7fELF"):
        folder = WORK / "added"
        packages.remove_tree(folder)
        (folder / "etc").mkdir(parents=True)
        (folder / "etc" / name).write_bytes(content)
        (folder / "etc" / name).chmod(mode)
        return folder

    def test_missing_program(self):
        done = subprocess.run([sys.executable, "-B", TOP / "image/tree.py", "--output", WORK, "--programs", "/nowhere"],
                              capture_output=True, text=True, check=False)
        self.assert_refused(done, "/nowhere/attest", "not found")

    def test_setuid_file(self):
        self.assert_refused(build(WORK, "--add", self.added("su", 0o4755)), "etc/su", "setuid")

    def test_script(self):
        self.assert_refused(build(WORK, "--add", self.added("run", 0o755, b"#!/bin/sh\n")), "etc/run", "no ELF")

    def test_pipe(self):
        folder = self.added("plain")
        os.mkfifo(folder / "etc/pipe")
        self.assert_refused(build(WORK, "--add", folder), "etc/pipe", "regular file")

    def test_missing_tree(self):
        self.assert_refused(build(WORK, "--add", "/nowhere"), "/nowhere", "not a directory")

    def test_pattern_without_file(self):
        fetched = packages.Packages(WORK / "packages")
        with self.assertRaisesRegex(packages.TreeError, "usr/bin/emacs: no file"):
            fetched.select(["usr/bin/emacs"])
        with self.assertRaisesRegex(packages.TreeError, "!usr/bin/crun: no file"):
            fetched.select(["usr/bin/systemctl", "!usr/bin/crun"])
        self.assertEqual(fetched.select(["usr/bin/{}".format("crun"), "!usr/bin/crun"]), set())

    def test_missing_library(self):
        fetched = packages.Packages(WORK / "packages")
        with self.assertRaisesRegex(packages.TreeError, "libcurl"):
            fetched.library("libcurl.so.4", "groupd")


if __name__ == "__main__":
    unittest.main()
