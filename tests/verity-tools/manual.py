#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The manual pages and the README hold what they say.

  manual.py lint PAGES            mandoc finds nothing to warn of
  manual.py options PAGES         each verb has a page, and each option of its --help is there as --help has it, and no other
  manual.py examples PAGES        the examples of the pages run as they stand
  manual.py readme README         and so does its section on signing
"""

import contextlib
import gzip
import hashlib
import io
import json
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile

# As one works: a page may use what those before it made.
ORDER = ("keygen", "build", "sign", "verify", "inspect", "diff", "rootfs", "format", "image")
# The kernel's device-mapper is not there where tests run: tests/vm opens and closes devices.
NOT_HERE = ("open", "close")

# What they take for granted: something to sign, and for the pages also the keys of the README.
TREE = """
set -eu
mkdir -p rootfs/etc rootfs/usr/bin
echo app >rootfs/etc/name
printf '#!/bin/sh\\necho app\\n' >rootfs/usr/bin/app
chmod 755 rootfs/usr/bin/app
"""
KEYS = """
mkdir trust
verity keygen --purpose=layer --key=layer.key --certificate=layer.pem
verity keygen --purpose=manifest --key=manifest.key --certificate=manifest.pem
cp layer.pem manifest.pem trust/
"""

README_SECTION = "Sign an image in CI"
# The registry of the examples; the one that the test starts listens elsewhere.
REGISTRY = "localhost:5000"


class Problem(Exception):
    pass


def run(*command, **options):
    result = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if result.returncode != 0:
        raise Problem(f"{' '.join(map(str, command))}: exit status {result.returncode}\n{result.stdout}")
    return result.stdout


def verbs():
    text = run("verity", "--help").split("Verbs:\n")[1].split("\n\n")[0]
    return re.findall(r"^  ([a-z]+)\b", text, re.MULTILINE)


def lint(pages):
    for page in sorted(pages.glob("*.1")):
        run("mandoc", "-Tlint", "-Wwarning", page)


def options_of_help(verb):
    text = run("verity", verb, "--help").split("Options:\n")[1]
    return {(m[2], m[1], m[3]) for m in re.finditer(r"^  (?:-(\w), |    )--([a-z0-9-]+)(?:=(\S+))?", text, re.MULTILINE)}


def options_of_page(page):
    text = page.read_text().split(".Sh OPTIONS\n")[1].split(".Sh ")[0]
    item = r"^\.It Fl -([a-z0-9-]+)(?: Ns = Ns Ar (\S+))?(?: , Fl (\w)(?: Ar \S+)?)?$"
    found = list(re.finditer(item, text, re.MULTILINE))
    if len(found) != text.count(".It ") or len(found) != len({m[1] for m in found}):
        raise Problem(f"{page}: an item that is no option, or an option that is there twice")
    return {(m[1], m[3], m[2]) for m in found}


def options(pages):
    names = {p.name for p in pages.glob("*.1")}
    expected = {"verity.1"} | {f"verity-{verb}.1" for verb in verbs()}
    if names != expected:
        raise Problem(f"pages expected and found differ: {sorted(names ^ expected)}")
    listed = re.findall(r"^\.It Xr verity-(\S+) 1$", (pages / "verity.1").read_text(), re.MULTILINE)
    if listed != verbs():
        raise Problem(f"verity.1: the verbs {verbs()} expected, found {listed}")
    for verb in verbs():
        page = pages / f"verity-{verb}.1"
        differ = options_of_help(verb) ^ options_of_page(page)
        if differ:
            raise Problem(f"{page}: only here or only in --help: {sorted(map(str, differ))}")


def put_blob(layout, media_type, data):
    digest = hashlib.sha256(data).hexdigest()
    (layout / "blobs/sha256" / digest).write_bytes(data)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}


def put_json(layout, kind, value):
    return put_blob(layout, f"application/vnd.oci.image.{kind}.v1+json", json.dumps(value).encode())


def make_layout(layout):
    """An image of one layer, as container tools leave it."""
    (layout / "blobs/sha256").mkdir(parents=True)
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for name, content in (("etc/name", b"app\n"), ("usr/bin/app", b"#!/bin/sh\n")):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    diff = hashlib.sha256(layer.getvalue()).hexdigest()
    layers = [put_blob(layout, "application/vnd.oci.image.layer.v1.tar+gzip", gzip.compress(layer.getvalue(), mtime=0))]
    config = put_json(layout, "config", {"os": "linux", "architecture": "amd64", "config": {"Cmd": ["/usr/bin/app"]},
                                         "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff}"]}})
    manifest = put_json(layout, "manifest", {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                                             "config": config, "layers": layers})
    manifest["annotations"] = {"org.opencontainers.image.ref.name": "1"}
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


@contextlib.contextmanager
def registry(folder):
    """A registry on a port of its own, with the image in it; gives HOST:PORT."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        place = f"localhost:{s.getsockname()[1]}"
    config = folder / "registry.json"
    config.write_text(json.dumps({"version": 0.1, "log": {"level": "error"}, "http": {"addr": place},
                                  "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}}}))
    with subprocess.Popen(["docker-registry", "serve", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            run("skopeo", "copy", "--insecure-policy", "--retry-times=9", "--dest-tls-verify=false", f"oci:{folder}/app-oci:1", f"docker://{place}/app:1")
            yield place
        finally:
            server.kill()


def run_script(lines):
    """Runs the lines as they stand, where what they take for granted is."""
    folder = pathlib.Path(tempfile.mkdtemp())
    try:
        make_layout(folder / "app-oci")
        with registry(folder) as place:
            (folder / "script").write_text(TREE + lines.replace(REGISTRY, place))
            return run("bash", "-x", "script", cwd=folder)
    finally:
        shutil.rmtree(folder)


def examples_of(page):
    text = page.read_text().split(".Sh EXAMPLES\n")[1].split(".Sh SEE ALSO")[0]
    blocks = re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", text, re.MULTILINE | re.DOTALL)
    if not blocks:
        raise Problem(f"{page}: an example expected, found none")
    return "".join(blocks).replace("\\e", "\\")


def examples(pages):
    if set(ORDER) | set(NOT_HERE) != set(verbs()):
        raise Problem("a verb without a place in ORDER or NOT_HERE")
    run_script(KEYS + "".join([examples_of(pages / f"verity-{verb}.1") for verb in ORDER] + [examples_of(pages / "verity.1")]))


def readme(page):
    section = page.read_text().split(f"## {README_SECTION}\n")[1].split("\n## ")[0]
    lines = re.findall(r"^    (.*)$", section, re.MULTILINE)
    if not lines:
        raise Problem(f"{page}: commands expected, found none")
    run_script("\n".join(lines) + "\n")


def main():
    actions = {"lint": lint, "options": options, "examples": examples, "readme": readme}
    try:
        actions[sys.argv[1]](pathlib.Path(sys.argv[2]))
    except Problem as problem:
        sys.exit(f"manual.py: {problem}")


main()
