# SPDX-License-Identifier: LGPL-2.1-or-later
"""The sample images: a valid OCI layout, the same bytes each time, and both programs at work from it without a shell and without
memory that is written and executed."""
import ctypes
import gzip
import hashlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tarfile
import time
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
WORK = pathlib.Path(os.environ["WORK"]) / "sample"
LAYOUT = WORK / "oci"
LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWNET, MS_REC, MS_PRIVATE = 0x20000, 0x40000000, 0x4000, 0x40000
PR_SET_PDEATHSIG, PR_SET_MDWE = 1, 65


def build():
    environment = {**os.environ, "PYTHONPATH": str(TOP / "image")}
    return subprocess.run([sys.executable, "-B", TOP / "image/sample/build.py", "--output", WORK], capture_output=True, text=True, check=False,
                          env=environment)


def blob(descriptor):
    return (LAYOUT / "blobs" / descriptor["digest"].replace(":", "/")).read_bytes()


def images():
    index = json.loads((LAYOUT / "index.json").read_text())
    return {m["annotations"]["org.opencontainers.image.ref.name"]: json.loads(blob(m)) for m in index["manifests"]}


def check(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def wait_for(port):
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nobody listens on port {port}")


def get(path):
    connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body


class Layout(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        done = build()
        if done.returncode != 0:
            raise RuntimeError(done.stderr)

    def test_names(self):
        self.assertEqual(set(images()), {"sample/nginx:1", "sample/app:1"})
        self.assertEqual(json.loads((LAYOUT / "oci-layout").read_text()), {"imageLayoutVersion": "1.0.0"})

    def test_digests_and_sizes(self):
        for manifest in images().values():
            config = json.loads(blob(manifest["config"]))
            self.assertEqual(len(config["rootfs"]["diff_ids"]), len(manifest["layers"]))
            for descriptor in (manifest["config"], *manifest["layers"]):
                data = blob(descriptor)
                self.assertEqual((len(data), "sha256:" + hashlib.sha256(data).hexdigest()), (descriptor["size"], descriptor["digest"]))
            for diff_id, descriptor in zip(config["rootfs"]["diff_ids"], manifest["layers"]):
                self.assertEqual("sha256:" + hashlib.sha256(gzip.decompress(blob(descriptor))).hexdigest(), diff_id)

    def test_base_layer_is_shared(self):
        first = {m["layers"][0]["digest"] for m in images().values()}
        self.assertEqual(len(first), 1)

    def test_no_shell_no_setuid_no_file_twice(self):
        for name, manifest in images().items():
            seen = set()
            for descriptor in manifest["layers"]:
                with tarfile.open(LAYOUT / "blobs" / descriptor["digest"].replace(":", "/")) as tar:
                    for entry in tar:
                        self.assertFalse(entry.mode & (stat.S_ISUID | stat.S_ISGID), entry.name)
                        self.assertTrue(entry.isreg() or entry.isdir() or entry.issym(), entry.name)
                        self.assertNotIn(pathlib.Path(entry.name).name, ("sh", "bash", "dash", "busybox"))
                        if not entry.isdir():
                            self.assertNotIn(entry.name, seen, name)
                            seen.add(entry.name)

    def test_second_run_gives_the_same_bytes(self):
        first = sorted((str(p), p.read_bytes()) for p in LAYOUT.rglob("*") if p.is_file())
        self.assertEqual(build().returncode, 0)
        self.assertEqual(sorted((str(p), p.read_bytes()) for p in LAYOUT.rglob("*") if p.is_file()), first)


class Running(unittest.TestCase):
    """Both programs in one network namespace, from the unpacked layers, as a group would run them."""

    @classmethod
    def setUpClass(cls):
        check(LIBC.unshare(CLONE_NEWNS | CLONE_NEWNET))
        check(LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        cls.processes = []
        cls.roots = WORK / "roots"
        shutil.rmtree(cls.roots, ignore_errors=True)
        for name in images():
            cls.unpack(name)

    @classmethod
    def tearDownClass(cls):
        for process in cls.processes:
            process.kill()
            process.wait()

    @classmethod
    def root(cls, name):
        return cls.roots / name.replace("/", "-").replace(":", "-")

    @classmethod
    def unpack(cls, name):
        root = cls.root(name)
        for descriptor in images()[name]["layers"]:
            with tarfile.open(LAYOUT / "blobs" / descriptor["digest"].replace(":", "/")) as tar:
                tar.extractall(root, filter="fully_trusted")
        check(LIBC.mount(b"proc", bytes(root / "proc"), b"proc", 0, None))
        check(LIBC.mount(b"tmpfs", bytes(root / "dev"), b"tmpfs", 0, b"mode=755"))
        for node, minor in (("null", 3), ("zero", 5), ("urandom", 9)):
            os.mknod(root / "dev" / node, 0o666 | stat.S_IFCHR, os.makedev(1, minor))
            os.chmod(root / "dev" / node, 0o666)
        for number, link in enumerate(("stdin", "stdout", "stderr")):
            (root / "dev" / link).symlink_to(f"/proc/self/fd/{number}")

    @classmethod
    def start(cls, name, environment):
        config = json.loads(blob(images()[name]["config"]))["config"]
        uid, gid = (int(i) for i in config.get("User", "0:0").split(":"))

        def confine():
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            os.chroot(cls.root(name))
            os.chdir(config["WorkingDir"])
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
            if LIBC.prctl(PR_SET_MDWE, 1, 0, 0, 0) != 0:
                os._exit(99)

        variables = dict(v.split("=", 1) for v in config["Env"]) | environment
        process = subprocess.Popen(config["Entrypoint"] + config["Cmd"], env=variables, preexec_fn=confine, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT)
        cls.processes.append(process)
        return process

    def test_group(self):
        web = self.start("sample/nginx:1", {})
        wait_for(80)
        self.assertEqual(get("/")[0], 502)
        self.assertIn("is starting", get("/")[1])
        app = self.start("sample/app:1", {"GREETING": "hello <from> a test"})
        wait_for(8000)
        status, body = get("/")
        self.assertEqual(status, 200)
        self.assertIn("Holdfast sample: hello &lt;from&gt; a test", body)
        self.assertIn("Request 1 ", body)
        state = json.loads(get("/state")[1])
        self.assertEqual((state["count"], state["uid"]), (2, 1000))
        self.assertEqual(get("/nothing")[0], 404)
        self.assertIn("sans-serif", get("/static/style.css")[1])
        web.send_signal(signal.SIGQUIT)
        app.terminate()
        self.assertIn(b"GET /state", web.communicate(timeout=10)[0])
        self.assertIn(b"sample application on", app.communicate(timeout=10)[0])
        self.assertEqual((web.returncode, app.returncode), (0, 0))


if __name__ == "__main__":
    unittest.main()
