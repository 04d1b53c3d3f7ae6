# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes the sample images, an OCI image layout, out of Debian's packages: layers by allow-list, shared between images."""
import argparse
import compileall
import gzip
import hashlib
import importlib.util
import io
import json
import os
import pathlib
import py_compile
import sys
import tarfile

from packages import Packages, TreeError, install, merge_usr, read_list, remove_tree

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
RECIPE = TOP / "image/sample"
EPOCH = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
INDEX = "application/vnd.oci.image.index.v1+json"
CREATED = "1970-01-01T00:00:00Z"


class Layout:
    """An OCI image layout that is being written: blobs by their digest, one reference by image name."""

    def __init__(self, directory):
        self.directory = directory
        self.manifests = []
        (directory / "blobs/sha256").mkdir(parents=True)

    def blob(self, kind, data):
        digest = hashlib.sha256(data).hexdigest()
        (self.directory / "blobs/sha256" / digest).write_bytes(data)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}

    def image(self, name, config, layers):
        """layers: (blob descriptor, digest of the uncompressed tar, layer name) from the bottom up."""
        document = {"created": CREATED, "architecture": "amd64", "os": "linux", "config": config,
                    "rootfs": {"type": "layers", "diff_ids": [diff for _, diff, _ in layers]},
                    "history": [{"created": CREATED, "created_by": f"image/sample/build: {layer}"} for _, _, layer in layers]}
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": self.blob(CONFIG, to_json(document)),
                    "layers": [descriptor for descriptor, _, _ in layers]}
        entry = self.blob(MANIFEST, to_json(manifest))
        self.manifests.append({**entry, "annotations": {"org.opencontainers.image.ref.name": name}})

    def finish(self):
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": self.manifests}
        (self.directory / "index.json").write_bytes(to_json(index))
        (self.directory / "oci-layout").write_bytes(to_json({"imageLayoutVersion": "1.0.0"}))


def to_json(value):
    return (json.dumps(value, separators=(",", ":"), sort_keys=True) + "\n").encode()


def compile_bytecode(folder, prefix):
    """Replaces the sources below `folder` by bytecode that names `prefix`: nothing is compiled when a container starts."""
    if not compileall.compile_dir(folder, quiet=2, legacy=True, stripdir=str(folder), prependdir=prefix, maxlevels=20,
                                  invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH):
        raise TreeError(f"{folder}: a Python source does not compile")
    for source in sorted(folder.rglob("*.py")):
        source.unlink()
    interpreter = f"python{sys.version_info.major}.{sys.version_info.minor}"
    if folder.name != interpreter:
        raise TreeError(f"{folder}: bytecode is of {interpreter}, magic number {importlib.util.MAGIC_NUMBER.hex()}")


def tar_entry(tree, path, layer):
    """The header of one entry: owner and mode come from the layer's description, never from the build machine."""
    name = str(path.relative_to(tree))
    described = layer.get("directories", {}).get(name, {})
    info = tarfile.TarInfo(name)
    info.mtime = EPOCH
    info.uid = info.gid = described.get("owner", 0)
    if path.is_symlink():
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, os.readlink(path), 0o777
    elif path.is_dir():
        info.type, info.mode = tarfile.DIRTYPE, int(described.get("mode", "0755"), 8)
    else:
        info.size, info.mode = path.stat().st_size, 0o755 if path.stat().st_mode & 0o111 else 0o644
    return info


def make_tar(tree, layer):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(tree.rglob("*")):
            info = tar_entry(tree, path, layer)
            if info.isreg():
                with open(path, "rb") as file:
                    tar.addfile(info, file)
            else:
                tar.addfile(info)
    return data.getvalue()


def make_tree(tree, layer, packages, below):
    """Fills a layer's tree; `below` are the package files of the layers under it. Returns the files it adds."""
    tree.mkdir(parents=True)
    chosen = set()
    if "files" in layer:
        chosen = packages.closure(packages.select(read_list(RECIPE / layer["files"]))) - below
    if layer.get("merge_usr"):
        merge_usr(tree)
    packages.copy(chosen, tree)
    for name in layer.get("directories", {}):
        (tree / name).mkdir(parents=True, exist_ok=True)
    if "content" in layer:
        content = RECIPE / layer["content"]
        for path in sorted(p for p in content.rglob("*") if p.is_file()):
            install(path, tree / path.relative_to(content))
    if "bytecode" in layer:
        compile_bytecode(tree / layer["bytecode"], "/" + layer["bytecode"])
    return chosen


def build(output, update):
    recipe = json.loads((RECIPE / "images.json").read_text())
    packages = Packages.fetch(read_list(RECIPE / "packages.list"), output / "packages", update)
    work, fresh = output / "trees", output / "oci.new"
    remove_tree(work)
    remove_tree(fresh)
    layout = Layout(fresh)
    built, files = {}, {}
    for name, image in recipe["images"].items():
        below = set()
        for layer in image["layers"]:
            if layer not in built:
                files[layer] = make_tree(work / layer, recipe["layers"][layer], packages, below)
                tar = make_tar(work / layer, recipe["layers"][layer])
                blob = layout.blob(LAYER, gzip.compress(tar, compresslevel=6, mtime=0))
                built[layer] = (blob, "sha256:" + hashlib.sha256(tar).hexdigest(), layer)
            below |= files[layer]
        layout.image(name, image["config"], [built[layer] for layer in image["layers"]])
    layout.finish()
    remove_tree(output / "oci")
    fresh.rename(output / "oci")
    (output / "packages.json").write_text(json.dumps(packages.records(set().union(*files.values())), indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(prog="image/sample/build", description="Makes the sample images below OUTPUT (oci/, packages.json).")
    parser.add_argument("--output", metavar="DIR", type=pathlib.Path, default=TOP / "build/sample", help="default: build/sample")
    parser.add_argument("--update", action="store_true", help="fetch the newest packages even if there are some")
    options = parser.parse_args()
    try:
        build(options.output, options.update)
    except (TreeError, OSError) as error:
        print(f"image/sample/build: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
