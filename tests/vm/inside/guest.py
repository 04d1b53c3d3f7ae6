# SPDX-License-Identifier: LGPL-2.1-or-later
"""The booted image, variant test, from within: what root tries from a disk signed for tests (guest/payload.c), container groups
through the operator's port, what root in a container tries (guest/container.c), and images that groupd must not run."""

import base64
import base64
import hashlib
import io
import json
import re
import shutil
import subprocess
import tarfile
import threading
import time
import urllib.request
from pathlib import Path

import build as image_build
import guestfiles as build
from boot import image_machine
from machine import Disk, MachineError, Stream, free_port

ROOT_TRIES = 240
PORT = "io.holdfast.payload"
OPERATOR = "io.holdfast.groupd"
GROUPCTL = build.BUILD / "release/bin/groupctl"
VERITY = build.BUILD / "release/bin/verity"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LAYER_SIGNATURE = "application/vnd.cncf.notary.signature.dm-verity"
MANIFEST_SIGNATURE = "application/vnd.holdfast.manifest.signature"
ATTEMPTS = "test/attempts:1"


class Layout:
    """An OCI image layout as a folder."""

    def __init__(self, path):
        self.path = Path(path)
        self.index = json.loads((self.path / "index.json").read_text()) if (self.path / "index.json").exists() else \
            {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}
        (self.path / "blobs/sha256").mkdir(parents=True, exist_ok=True)
        (self.path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')

    def blob(self, digest):
        return self.path / "blobs/sha256" / digest.removeprefix("sha256:")

    def put(self, data, media_type, **more):
        digest = hashlib.sha256(data).hexdigest()
        self.blob(digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data), **more}

    def put_json(self, value, media_type, **more):
        return self.put(json.dumps(value).encode(), media_type, **more)

    def json(self, descriptor):
        return json.loads(self.blob(descriptor["digest"]).read_text())

    def find(self, name):
        return next(m for m in self.index["manifests"] if m.get("annotations", {}).get("org.opencontainers.image.ref.name") == name)

    def referrer(self, subject, artifact_type):
        return next(self.json(m) for m in self.index["manifests"] if m.get("artifactType") == artifact_type
                    and self.json(m)["subject"]["digest"] == subject["digest"])

    def add(self, descriptor):
        self.index["manifests"].append(descriptor)

    def write(self):
        (self.path / "index.json").write_text(json.dumps(self.index))


def attempts_layout(path):
    """The image test/attempts: one layer with the attempts, what they run, and nothing else."""
    layout = Layout(build.clean_directory(path))
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in ("tmp", "proc", "sys", "dev", "run", "etc"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(entry)
        for name in ("attempts", "helper", "stranger"):
            content = (build.programs() / name).read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    layer = layout.put(data.getvalue(), "application/vnd.oci.image.layer.v1.tar")
    config = layout.put_json({"architecture": "amd64", "os": "linux", "config": {"Entrypoint": ["/attempts"]},
                              "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}, "application/vnd.oci.image.config.v1+json")
    layout.add(layout.put_json({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}, MANIFEST,
                               annotations={"org.opencontainers.image.ref.name": ATTEMPTS}))
    layout.write()
    return path


def detached(data, key):
    return build.run("openssl", "smime", "-sign", "-noattr", "-binary", "-outform", "der", "-signer", build.KEYS / f"{key}.pem",
                     "-inkey", build.KEYS / f"{key}.key", stdin=data)


def root_hash(layer):
    return layer["annotations"]["org.erofs.dmverity.root_digest"].removeprefix("sha256:")


def flipped(data, offset):
    data = bytearray(data)
    data[offset] ^= 1
    return bytes(data)


def add_bad_image(layout, name, layer_signature=None, manifest_key="manifest", change_layer=None):
    """A variant of test/attempts. layer_signature: function of the layer that gives the DER, or None for no signature at all."""
    good = layout.find(ATTEMPTS)
    manifest = layout.json(good)
    manifest["annotations"] = {"org.opencontainers.image.title": name}
    layer = manifest["layers"][0]
    if change_layer:
        layer.update(layout.put(change_layer(layout.blob(layer["digest"]).read_bytes()), layer["mediaType"]))
    descriptor = layout.put_json(manifest, MANIFEST, annotations={"org.opencontainers.image.ref.name": f"test/{name}:1"})
    layout.add(descriptor)
    subject = {k: descriptor[k] for k in ("mediaType", "digest", "size")}
    empty = layout.put(b"{}", "application/vnd.oci.empty.v1+json")

    def refer(artifact_type, blobs):
        layout.add(layout.put_json({"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": artifact_type, "config": empty,
                                    "layers": blobs, "subject": subject}, MANIFEST, artifactType=artifact_type))

    if manifest_key:
        refer(MANIFEST_SIGNATURE, [layout.put(detached(layout.blob(descriptor["digest"]).read_bytes(), manifest_key),
                                              "application/pkcs7-signature")])
    if layer_signature:
        annotations = {"io.cncf.notary.layer.digest": layer["digest"], "io.cncf.notary.dm-verity.root-hash": root_hash(layer)}
        refer(LAYER_SIGNATURE, [layout.put(layer_signature(layer), "application/pkcs7-signature", annotations=annotations)])


def by_key(key):
    return lambda layer: detached(root_hash(layer).encode(), key)


# name of the image, what is wrong with it, how it is made
BAD_IMAGES = [
    ("unsigned", "a layer without signature", {}),
    ("foreign", "a layer signed by a foreign key", {"layer_signature": by_key("foreign")}),
    ("purpose", "a layer signed by our key of another purpose", {"layer_signature": by_key("rootfs")}),
    ("broken", "a layer with one bit flipped in its signature", {"layer_signature": lambda layer: flipped(by_key("layer")(layer), -20)}),
    ("other", "a layer with another layer's signature", {"layer_signature": lambda layer: detached(b"0" * 64, "layer")}),
    ("manifest", "a manifest without signature", {"layer_signature": by_key("layer"), "manifest_key": None}),
    ("signer", "a manifest signed by our key of another purpose", {"layer_signature": by_key("layer"), "manifest_key": "layer"}),
    ("changed", "a layer with one bit flipped", {"layer_signature": by_key("layer"),
                                                 "change_layer": lambda data: flipped(data, data.find(b"\x7fELF") + 4)}),
]


def make_store(work):
    """The sample's store with the images of these tests, as a disk."""
    signed = work / "signed"
    shutil.rmtree(signed, ignore_errors=True)
    build.run(VERITY, "image", attempts_layout(work / "attempts"), "-o", signed, "--key", build.KEYS / "layer.key", "--certificate",
              build.KEYS / "layer.pem", "--manifest-key", build.KEYS / "manifest.key", "--manifest-certificate", build.KEYS / "manifest.pem")
    store = work / "store"
    shutil.rmtree(store, ignore_errors=True)
    shutil.copytree(image_build.OUT / "store", store)
    layout, ours = Layout(store), Layout(signed)
    for blob in (signed / "blobs/sha256").iterdir():
        shutil.copy(blob, store / "blobs/sha256")
    layout.index["manifests"] += ours.index["manifests"]
    for name, _, how in BAD_IMAGES:
        add_bad_image(layout, name, **how)
    layout.write()
    image_build.OUT = work
    image_build.make_verity_disk("store", store, "manifest", "holdfast-store")
    return work / "store.raw"


class Operator:
    """groupctl on the build machine, through the broker of the operator's port."""

    def __init__(self, machine, suite):
        self.suite = suite
        self.socket = machine.work / "operator.sock"
        self.broker = subprocess.Popen([str(GROUPCTL), "broker", "--port", str(machine.work / f"port-{OPERATOR}.sock"), "--listen",
                                        str(self.socket)], stdin=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.broker.terminate()
        self.broker.wait()

    def call(self, *words, stdin=None):
        """Exit status and what it said."""
        done = subprocess.run([str(GROUPCTL), "--machine", str(self.socket), *words], input=stdin, capture_output=True, text=True,
                              check=False, timeout=120)
        return done.returncode, done.stdout if done.returncode == 0 else done.stderr.strip()

    def json(self, *words):
        status, text = self.call(*words, "--json=short")
        if status:
            raise MachineError(f"groupctl {' '.join(words)}: {text}")
        value = json.loads(text)
        return value.get("group", value) if isinstance(value, dict) else value

    def run_group(self, name, image, command=None, selinux_type=None, container=None, **more):
        """A group of one container; `container` has more properties of it, `more` are the group's."""
        container = {"image": image, "resources": {"requests": {"cpu": 0.5, "memoryInGB": 0.1}}} | (container or {})
        if command:
            container["command"] = command
        properties = {"osType": "Linux", "restartPolicy": "Never", "containers": [{"name": "main", "properties": container}]}
        if selinux_type:
            properties["securityContext"] = {"seLinuxOptions": {"type": selinux_type}}
        text = json.dumps({"name": name, "properties": properties | more})
        return self.call("run", "-", stdin=text)

    def wait_ready(self, machine, seconds):
        deadline = time.monotonic() + seconds
        while self.call("list")[0]:
            if time.monotonic() > deadline or not machine.running():
                raise MachineError(f"groupd does not answer; last serial lines:\n{machine.serial.tail()}")
            time.sleep(0.3)


def forward_to_sample(machine, operator):
    """A local port that leads to the sample group's page."""
    facts = operator.json("show", "sample")
    local = free_port()
    machine.add_forward(local, facts["address"], facts["ports"][0])
    return local


def page(local):
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{local}/", timeout=20) as answer:
                return answer.read(65536).decode(errors="replace")
        except OSError as error:
            if time.monotonic() > deadline:
                return str(error)
            time.sleep(0.5)


def check_links(suite, machine):
    """What osguard's report on the chain says of itself, link by link."""
    match = machine.wait_for(r'osguard\[\d+\]: (\[\{"name":.*\])\s*$', 60, what="the state of the chain")
    for link in json.loads(match[1]):
        suite.check(f"link: {link['name']}", link["ok"], f"expected {link['expected']}, found {link['found']}")


def log_lines(operator):
    return operator.call("logs", "sample", "--container", "web")[1].count("GET / ")


def check_sample(suite, machine, operator):
    status, text = operator.call("run", str(build.TOP / "image/sample/group.yaml"))
    suite.check("the sample group is started through the operator's port", status == 0, text[:300])
    local = forward_to_sample(machine, operator)
    text = page(local)
    suite.check("its page comes through the forwarded port", "hello from python" in text, text[:200])
    status, text = operator.call("logs", "sample", "--container", "web")
    suite.check("its log can be read", status == 0, text[:200])
    return local


# Code in the upper of a group's overlay: the container may execute its view, but the mounter, whom SELinux asks about the file
# below, may not; a mapping is not asked of the mounter, and there it is IPE that refuses.
CONTAINER_RECORDS = [
    ("a copy in the overlay's upper (SELinux)", r'denied  \{ execute \} .*name="attempt-copy" .*:groupd_t:.*:container_file_t:.*'),
    ("a program that was copied up (SELinux)", r'denied  \{ execute \} .*name="helper" .*:groupd_t:.*:container_file_t:.*'),
    ("a script that was written (SELinux)", r'denied  \{ execute \} .*name="attempt-script" .*:groupd_t:.*:container_file_t:.*'),
    ("a memfd (SELinux)", r"denied  \{ execute \} .*:container_t:.*:memory_t:.*"),
    ("a mapping of a file in the overlay's upper (IPE)", r'type=1420 .*ipe_hook=MMAP .*path="/mapped" dev="overlay".*'),
    ("executable anonymous memory (SELinux)", r"denied  \{ execmem \} .*:container_t:.*"),
    ("a raw socket (SELinux)", r"denied  \{ create \} .*:container_t:.*tclass=rawip_socket.*"),
    ("the kernel's log (SELinux)", r'denied  \{ read \} .*name="kmsg" .*:container_t:.*:proc_kmsg_t:.*'),
    ("sysrq-trigger (SELinux)", r"denied  \{ read \} .*:container_t:.*:sysrq_t:.*"),
    ("a setting of the kernel (SELinux)", r'denied  \{ write \} .*name="randomize_va_space" .*:container_t:.*:sysctl_t:.*'),
    ("a setting of the network (SELinux)", r'denied  \{ write \} .*name="ip_forward" .*:container_t:.*:sysctl_net_t:.*'),
    ("the setting that names modprobe (SELinux)", r'denied  \{ write \} .*name="modprobe" .*:container_t:.*:sysctl_helper_t:.*'),
    ("its own control group (SELinux)", r'denied  \{ write \} .*name="cgroup.procs" .*:container_t:.*:cgroup_t:.*'),
    ("another group's categories (SELinux)", r"denied  \{ setcurrent \} .*:container_t:.*tclass=process.*"),
    ("a domain of the host by exec (SELinux)", r"denied  \{ setexec \} .*:container_t:.*tclass=process.*"),
    ("files with another group's label (SELinux)", r"denied  \{ setfscreate \} .*:container_t:.*tclass=process.*"),
    ("a relabelled memfd (SELinux)", r"denied  \{ relabelfrom \} .*:container_t:.*:memory_t:.*"),
    ("an audit socket (SELinux)", r"denied  \{ create \} .*:container_t:.*tclass=netlink_audit_socket.*"),
    ("a netfilter socket (SELinux)", r"denied  \{ create \} .*:container_t:.*tclass=netlink_netfilter_socket.*"),
]
INIT_CONTAINER_RECORDS = [
    ("a bound port (SELinux)", r"denied  \{ name_bind \} .*:init_container_t:.*tclass=tcp_socket.*"),
    ("a listening socket (SELinux)", r"denied  \{ listen \} .*:init_container_t:.*tclass=tcp_socket.*"),
]


def ask(machine, port, command, answer):
    """A command for the payload; the match of its answer, which ends what it prints."""
    port.text = ""
    port.send(f"{command}\n")
    return machine.wait_for(answer, 30, log=port, what=f"the payload's answer to {command!r}")


def check_container_attempts(suite, machine, operator, port):
    status, text = operator.run_group("attempts", ATTEMPTS)
    suite.check("a group with root's attempts is started", status == 0, text)
    operator.call("wait", "attempts")
    suite.judge("the container", operator.call("logs", "attempts")[1])
    check_records(suite, machine, port, "container", CONTAINER_RECORDS)


def check_records(suite, machine, port, who, records):
    ask(machine, port, 'records comm="attempts"', r"^\d+ records of .*")
    for what, pattern in records:
        found = re.search(pattern, port.text)
        suite.check(f"{who}: the kernel's record of {what}", bool(found), found[0] if found else port.text)


def init_container(name, *command, **more):
    return {"name": name, "properties": {"image": ATTEMPTS, "command": list(command)} | more}


def check_init_containers(suite, machine, operator, port):
    """They run before the others, in a type of their own; without their work the group does not start."""
    status, text = operator.run_group("init", ATTEMPTS, ["/attempts", "wait"], initContainers=[
        init_container("first", "/attempts", "init"), init_container("second", "/attempts", "init")])
    suite.check("a group with init containers is started", status == 0, text)
    suite.judge("the init container", operator.call("logs", "init", "--container", "first")[1])
    check_records(suite, machine, port, "init container", INIT_CONTAINER_RECORDS)
    facts = operator.json("show", "init")
    first, second, main = *facts["initContainers"], facts["containers"][0]
    suite.check("each ended before the next one began", first["exitCode"] == second["exitCode"] == 0
                and first["finishTime"] <= second["startTime"] and second["finishTime"] <= main["startTime"], json.dumps(facts))
    operator.call("delete", "init")
    status, text = operator.run_group("unprepared", ATTEMPTS, ["/attempts", "wait"], initContainers=[init_container("first", "/helper")])
    facts = operator.json("show", "unprepared")
    suite.check("an init container that fails is the answer to run", status == 1
                and 'init container "first": exit status 0 expected, found 42' in text, text)
    suite.check("and its group keeps a record of that, while the others never ran", facts["state"] == "Failed"
                and facts["initContainers"][0]["exitCode"] == 42 and "startTime" not in facts["containers"][0], json.dumps(facts))
    operator.call("delete", "unprepared")


def check_volumes(suite, operator):
    """Containers of a group share an emptyDir, a secret is read-only, and neither holds anything that can be executed."""
    data, secret = {"name": "data", "mountPath": "/data"}, {"name": "token", "mountPath": "/secret"}
    status, text = operator.run_group(
        "volumes", ATTEMPTS, ["/attempts", "volumes"], container={"volumeMounts": [data, secret]},
        initContainers=[init_container("prepare", "/attempts", "prepare", volumeMounts=[data])],
        volumes=[{"name": "data", "emptyDir": {}},
                 {"name": "token", "secret": {"token": base64.b64encode(b"a secret of the group").decode()}}])
    suite.check("a group with volumes is started", status == 0, text)
    operator.call("wait", "volumes")
    suite.judge("the container with volumes", operator.call("logs", "volumes")[1])
    status, text = operator.run_group("keeper", ATTEMPTS, ["/attempts", "wait"], container={"volumeMounts": [data]},
                                      volumes=[{"name": "data", "emptyDir": {}}])
    suite.check("a group that keeps its volume to the end is started", status == 0, text)


def until(operator, name, wanted, seconds=60):
    """The group's first container once it is as wanted, or as it is when the time is over."""
    deadline = time.monotonic() + seconds
    while not wanted(facts := operator.json("show", name)["containers"][0]) and time.monotonic() < deadline:
        time.sleep(0.5)
    return facts


def check_probes(suite, operator):
    def probe(port):
        return {"httpGet": {"path": "/static/starting.html", "port": port}, "periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 2}

    operator.run_group("probed", "sample/nginx:1", container={"livenessProbe": probe(80), "readinessProbe": probe(80)})
    facts = until(operator, "probed", lambda c: c["ready"])
    suite.check("a container whose probes pass is ready, and goes on", facts["ready"] and facts["restartCount"] == 0, json.dumps(facts))
    operator.call("delete", "probed")
    operator.run_group("unready", ATTEMPTS, ["/attempts", "wait"], container={"readinessProbe": probe(9)})
    facts = operator.json("show", "unready")["containers"][0]
    suite.check("one whose readiness probe fails runs and is not ready", facts["state"] == "Running" and not facts["ready"], json.dumps(facts))
    operator.call("delete", "unready")
    operator.run_group("dead", ATTEMPTS, ["/attempts", "wait"], container={"livenessProbe": probe(9)}, restartPolicy="Always")
    facts = until(operator, "dead", lambda c: c["restartCount"] > 0)
    suite.check("one whose liveness probe fails is started again", facts["restartCount"] > 0 and facts["exitCode"] == 7, json.dumps(facts))
    operator.call("delete", "dead")


def seen(machine, port):
    return int(ask(machine, port, "see attempts", r"^seen (\d+) of attempts")[1])


def check_confidential_container(suite, machine, operator, port):
    """Root sees the processes of any group but of a confidential one, which groupd ends all the same."""
    before = seen(machine, port)
    operator.run_group("open", ATTEMPTS, ["/attempts", "wait"])
    label_of(operator, "open")
    with_open = seen(machine, port)
    status, text = operator.run_group("confidential", ATTEMPTS, ["/attempts", "wait"], "confidential_container_t")
    label = label_of(operator, "confidential")
    suite.check("a group of the type of confidential containers runs in it",
                status == 0 and label.startswith("system_u:system_r:confidential_container_t:s0:c"), f"{text} {label}")
    after = seen(machine, port)
    suite.check("root sees a container's process, and not a confidential one's", before < with_open == after, f"{before}, {with_open}, then {after}")
    ask(machine, port, "records confidential_container_t", r"^\d+ records of .*")
    found = re.search(r"denied  \{ \w+ \} .*:payload_t:.*:confidential_container_t:.*", port.text)
    suite.check("confidential container: the kernel's record of a look at its process (SELinux)", bool(found), found[0] if found else port.text)
    operator.call("stop", "confidential")
    facts = operator.json("show", "confidential")["containers"][0]
    suite.check("and groupd stops it", facts.get("exitCode") == 7, json.dumps(facts))
    operator.call("stop", "open")


def check_other_types(suite, operator):
    """Of types that are not for containers, the group is refused before anything starts."""
    for selinux_type in ("init_t", "payload_t", "container_file_t", "nosuch_t"):
        status, text = operator.run_group("type", ATTEMPTS, ["/attempts", "wait"], selinux_type)
        suite.check(f"a group of the type {selinux_type} is refused", status == 1 and "a container type of this machine's policy expected" in text, text)
    suite.check("and nothing is left of it", "type" not in [g["name"] for g in groups(operator)])


def check_bad_images(suite, operator):
    for name, what, _ in BAD_IMAGES:
        status, text = operator.run_group(f"bad-{name}", f"test/{name}:1")
        if status == 0:
            operator.call("wait", f"bad-{name}")
            facts = operator.json("show", f"bad-{name}")["containers"][0]
            suite.check(f"{what} does not run", facts.get("exitCode") not in (0, None), json.dumps(facts))
            operator.call("delete", f"bad-{name}")
        else:
            suite.check(f"{what} does not run", any(word in text for word in ("test/", "layer", "signature", "could not be executed")), text)
    status, text = operator.run_group("missing", "test/missing:1")
    suite.check("an image that is not in the store is named", status != 0 and "test/missing:1" in text, text)
    suite.check("nothing is left of the groups that were refused",
                not [g["name"] for g in groups(operator) if g["name"].startswith("bad-") or g["name"] == "missing"])


def groups(operator):
    value = operator.json("list")
    return value["groups"] if isinstance(value, dict) else value


def check_killed_groupd(suite, machine, operator, port, local):
    """kill -9 of groupd: containers go on, and it knows them again."""
    status, text = operator.run_group("waiter", ATTEMPTS, ["/attempts", "wait"])
    suite.check("a group that waits is started", status == 0, text)
    before, lines = sorted((g["name"], g["state"]) for g in groups(operator)), log_lines(operator)
    match = ask(machine, port, "kill groupd", r"^killed (\d+) of groupd")
    suite.check("groupd is killed", match[1] == "1")
    text = page(local)
    suite.check("the page still comes", "hello from python" in text, text[:200])
    operator.wait_ready(machine, 60)
    after = sorted((g["name"], g["state"]) for g in groups(operator))
    suite.check("list is right after the restart", before == after, f"{before}, then {after}")
    suite.check("what a container wrote while groupd was away is in its log", log_lines(operator) > lines, f"{lines} requests before")
    status, text = operator.call("stop", "waiter")
    facts = operator.json("show", "waiter")["containers"][0]
    suite.check("stop returns the true exit code", facts.get("exitCode") == 7, f"{text} {json.dumps(facts)}")


# Whose denials are the tests' own: the payload's, a container's, and the mounter's when a container is the cause.
ATTEMPTED = re.compile(r"scontext=system_u:system_r:(payload_t|container_t):|comm=\"(attempts|start)\"")


def check_denials(suite, machine, port):
    """Nothing was refused to the system itself, from SELinux's first moment through the life of every group."""
    lines = []
    for sign in ("avc:", "type=1420"):
        ask(machine, port, f"records {sign}", r"^\d+ records of .*")
        lines += re.findall(r"^record: (.*)", port.text, re.M)
    suite.check("the kernel kept records of the attempts", len(lines) > 30, f"{len(lines)} records")
    others = [line for line in lines if not ATTEMPTED.search(line)]
    suite.check("the system itself met no denial", not others, "\n".join(others[:5]))


def label_of(operator, name):
    """The SELinux label that the waiting container printed."""
    deadline = time.monotonic() + 20
    while True:
        match = re.search(r"waiting as (\S+)", operator.call("logs", name)[1])
        if match or time.monotonic() > deadline:
            return match[1] if match else "none"
        time.sleep(0.2)


def check_events(suite, operator):
    """After check_killed_groupd: each change of the group has its event, and groupd's death lost none."""
    _, text = operator.call("events", "sample", "--json=short")
    events = [json.loads(line) for line in text.splitlines()]
    web = [e["reason"] for e in events if e.get("container") == "web"]
    suite.check("a container's start has its events", web[:3] == ["Pulled", "Created", "Started"], str(web))
    group = [e["reason"] for e in events if "container" not in e]
    suite.check("groupd's return is one, after those from before", group[:1] == ["Running"] and "Recovered" in group[1:], str(group))
    numbers = [e["number"] for e in events]
    suite.check("events are in order", numbers == sorted(set(numbers)), str(numbers))
    status, text = operator.call("events", "nobody")
    suite.check("a group that is not there has none", status == 1 and "no such group" in text, text)


def check_stats(suite, operator):
    used = {c["container"]: c for c in operator.json("stats", "sample")}
    web = used.get("web", {})
    suite.check("what a container uses is shown", web.get("memoryBytes", 0) > 0 and web.get("cpuMicroseconds", 0) > 0 and
                web.get("processes", 0) > 0 and web["memoryBytes"] <= web.get("memoryLimitBytes", 0), json.dumps(used))


def check_separation(suite, operator):
    labels = []
    for name in ("first", "second"):
        operator.run_group(name, ATTEMPTS, ["/attempts", "wait"])
        labels.append(label_of(operator, name))
    parts = [re.fullmatch(r"system_u:system_r:container_t:(s0:c\d+,c\d+)", label) for label in labels]
    suite.check("each group has categories of its own", all(parts) and parts[0][1] != parts[1][1], str(labels))
    addresses = [operator.json("show", name)["address"] for name in ("first", "second")]
    suite.check("and an address of its own", None not in addresses and addresses[0] != addresses[1], str(addresses))


# What groupd is doing when it is killed, after how many seconds, and what may have become of the group.
MOMENTS = [("run", 0.1, {"Running", "gone"}), ("run", 0.5, {"Running", "gone"}), ("run", 1.0, {"Running", "gone"}),
           ("stop", 0.05, {"Running", "Stopped"}), ("stop", 0.25, {"Running", "Stopped"}),
           ("delete", 0.05, {"Running", "Stopped", "gone"}), ("delete", 0.25, {"Running", "Stopped", "gone"})]


def check_any_moment(suite, machine, operator, port):
    """Wherever a kill meets groupd, the group is whole or gone afterwards, and can be deleted."""
    for i, (what, delay, allowed) in enumerate(MOMENTS):
        name = f"moment-{i}"
        if what != "run":
            operator.run_group(name, ATTEMPTS, ["/attempts", "wait"])
        words = (what, name) if what != "run" else None
        call = threading.Thread(target=lambda n=name, w=words: operator.call(*w) if w else operator.run_group(n, ATTEMPTS, ["/attempts", "wait"]))
        call.start()
        time.sleep(delay)
        ask(machine, port, "kill groupd", r"^killed 1 of groupd")
        call.join()
        operator.wait_ready(machine, 60)
        deadline = time.monotonic() + 15
        while (state := next((g["state"] for g in groups(operator) if g["name"] == name), "gone")) not in allowed and time.monotonic() < deadline:
            time.sleep(0.2)
        suite.check(f"groupd killed {delay} s into {what}: the group is whole or gone", state in allowed, state)
        status, text = operator.call("delete", name) if state != "gone" else (0, "")
        suite.check("and can be deleted", status == 0 and name not in [g["name"] for g in groups(operator)], text)


def check_exit_code(suite, operator):
    status, text = operator.run_group("exit", ATTEMPTS, ["/helper"])
    operator.call("wait", "exit")
    facts = operator.json("show", "exit")["containers"][0]
    suite.check("a container's exit code is kept", status == 0 and facts.get("exitCode") == 42, f"{text} {json.dumps(facts)}")


def check_not_executed(suite, operator):
    status, text = operator.run_group("nowhere", ATTEMPTS, ["/nosuch/program"])
    suite.check("a program that does not exist is the answer to run",
                status == 1 and 'container "main": program "/nosuch/program" could not be executed: No such file' in text, text)
    suite.check("and nothing is left of its group", "nowhere" not in [g["name"] for g in groups(operator)])


# What groups leave in the machine while they run: a file, and what their lines have.
TRACES = [("/proc/1/mountinfo", "/run/holdfast/layers/"), ("/proc/1/mountinfo", " overlay "), ("/proc/1/mountinfo", "/run/holdfast/volumes/"),
          ("/proc/net/dev", "hf"), ("/proc/partitions", "dm-")]


def traces(machine, port):
    return [int(re.match(r"\d+", ask(machine, port, f"lines {path} {text}", rf"^\d+ lines of {path}")[0])[0]) for path, text in TRACES]


def attest(*words):
    done = subprocess.run([str(build.BUILD / "release/bin/attest"), *map(str, words)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def check_prediction(suite, evidence):
    """The firmware's log, event by event; what is the machine's own comes from a profile."""
    log, profile = suite.work / "firmware.log", suite.work / "profile.p7m"
    log.write_bytes(base64.b64decode(evidence["firmware_log"]))
    firmware = (f"--firmware={image_build.firmware().code()}", f"--variables={image_build.BUILD}/image/vars.fd")
    status, said = attest("predict", image_build.BUILD / "image/uki-test.efi", *firmware, f"--against={log}")
    suite.check("every event of the firmware's log was foretold", status == 0, said[-300:])
    status, said = attest("predict", image_build.BUILD / "image/uki-prod.efi", *firmware, f"--against={log}")
    suite.check("for another UKI the first event that differs is named", status == 1 and "PCR 4" in said, said[-300:])
    attest("profile", log, "--name=test", f"--key={build.KEYS}/build.key", f"--certificate={build.KEYS}/build.pem", "-o", profile)
    status, said = attest("predict", image_build.BUILD / "image/uki-test.efi", *firmware, f"--profile={profile}", f"--trust={build.KEYS}", "--json=short")
    pcrs = json.loads(said)["pcrs"] if status == 0 else {}
    suite.check("with the machine's profile PCRs 0, 1 and 6 are foretold too", all(pcrs.get(n) == evidence["pcrs"][n] for n in "016"), said[-300:])


def check_evidence(suite, machine, port):
    """The machine proves what it booted, to somebody who has the build manifest and a nonce; and nothing else passes."""
    nonce = "00112233445566778899aabbccddeeff"
    text = ask(machine, port, f"evidence {nonce}", r"^(\{[^\0]*\})\s*\nend of evidence")[1]
    evidence = json.loads(text)
    key = "000b" + hashlib.sha256(base64.b64decode(evidence["key"])[2:]).hexdigest()
    policy = {"version": 1, "keys": [key], "validity_seconds": 300, "required": {"secure-boot": {"allowed": [True]}, "capped": {"allowed": [True]},
              "variant": {"allowed": ["test"]}, "security-version": {"min": 1}, "counter": {"min": 1}, "ima-violations": {"max": 0}}}
    (suite.work / "policy.json").write_text(json.dumps(policy))

    def verify(changed, nonce=nonce):
        (suite.work / "evidence.json").write_text(json.dumps(changed))
        return attest("verify", suite.work / "evidence.json", f"--nonce={nonce}", f"--policy={suite.work}/policy.json",
                      f"--reference={image_build.BUILD}/image/manifest-test.p7m", f"--trust={build.KEYS}")

    status, said = verify(evidence)
    suite.check("evidence: quote, logs and the build manifest's predictions agree", status == 0, said[-600:])
    status, said = verify(evidence, "ff" + nonce[2:])
    suite.check("evidence: another nonce is refused", status == 1 and "nonce" in said, said[-300:])
    check_prediction(suite, evidence)
    log = base64.b64decode(evidence["logs"][0])
    status, said = verify({**evidence, "logs": [base64.b64encode(log[:log.rfind(b"cap") - 60]).decode(), *evidence["logs"][1:]]})
    suite.check("evidence: an event log that was cut is refused", status == 1, said[-300:])


def check_end(suite, machine, operator, port, before):
    running = traces(machine, port)
    for group in groups(operator):
        operator.call("delete", group["name"])
    suite.check("deleted groups are gone", groups(operator) == [], str(groups(operator)))
    after = traces(machine, port)
    suite.check("and leave no mount, link or device", after == before and all(r > b for r, b in zip(running, before)),
                f"{[t[1] for t in TRACES]}: {before} before, {running} with groups, {after} after")


def run(suite):
    disks = [Disk(image_build.OUT / "disk-test.raw", read_only=False), Disk(image_build.OUT / "payload-test.raw"), Disk(make_store(suite.work))]
    with image_machine(suite.work / "machine", "test", disks=disks, ports={PORT: "socket", OPERATOR: "socket"}) as machine:
        machine.start()
        port = Stream(machine.connect_port(PORT))
        with Operator(machine, suite) as operator:
            suite.collect(machine, port, ROOT_TRIES)
            check_links(suite, machine)
            operator.wait_ready(machine, 60)
            before = traces(machine, port)
            local = check_sample(suite, machine, operator)
            check_container_attempts(suite, machine, operator, port)
            check_init_containers(suite, machine, operator, port)
            check_volumes(suite, operator)
            check_probes(suite, operator)
            check_confidential_container(suite, machine, operator, port)
            check_other_types(suite, operator)
            check_bad_images(suite, operator)
            check_exit_code(suite, operator)
            check_not_executed(suite, operator)
            check_separation(suite, operator)
            check_evidence(suite, machine, port)
            check_killed_groupd(suite, machine, operator, port, local)
            check_events(suite, operator)
            check_stats(suite, operator)
            check_any_moment(suite, machine, operator, port)
            check_end(suite, machine, operator, port, before)
            check_denials(suite, machine, port)
