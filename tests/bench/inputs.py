# SPDX-License-Identifier: LGPL-2.1-or-later
"""What tests/bench/verity gives to the programs."""
import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import tarfile

LAYERED_BYTES = 480 << 20  # of files in the image of several layers


def remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def random_file(path, size):
    with path.open("wb") as file:
        for _ in range(size >> 20):
            file.write(os.urandom(1 << 20))


def flat_tar(path, n):
    """One directory with n files of 100 bytes, in an order that helps nobody."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for i in range(n):
            info = tarfile.TarInfo(f"directory/file-{i * 7919 % n:06}")
            info.size = 100
            tar.addfile(info, io.BytesIO(b"x" * 100))


def tree(folder, name):
    """A copy of part of /usr."""
    target = folder / name / "usr"
    target.mkdir(parents=True)
    subprocess.run(["cp", "-a", "/usr/bin", "/usr/lib", "/usr/share", str(target)], check=True)


def files_of_usr(limit):
    """Names below /usr up to so many bytes."""
    found, size = [], 0
    for folder, _, names in sorted(os.walk("/usr")):
        for name in sorted(names):
            path = pathlib.Path(folder, name)
            size += path.lstat().st_size
            if size > limit:
                return found
            found.append(str(path)[1:])
    return found


def layered_image(folder, name, n):
    """An OCI layout with an image of n gzip layers; gives the digests' digits."""
    blobs = folder / name / "blobs/sha256"
    blobs.mkdir(parents=True)

    def add(content, media_type):
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    names = files_of_usr(LAYERED_BYTES)
    layers, diff_ids = [], []
    for i in range(n):
        part = "\n".join(names[len(names) * i // n:len(names) * (i + 1) // n])
        tar = subprocess.run(["tar", "-C", "/", "--format=pax", "-cf", "-", "-T", "-"], input=part.encode(), capture_output=True, check=True).stdout
        diff_ids.append(f"sha256:{hashlib.sha256(tar).hexdigest()}")
        packed = subprocess.run(["gzip", "-n"], input=tar, capture_output=True, check=True).stdout
        layers.append(add(packed, "application/vnd.oci.image.layer.v1.tar+gzip"))
    config = add(json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}}).encode(),
                 "application/vnd.oci.image.config.v1+json")
    manifest = add(json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config,
                               "layers": layers}).encode(), "application/vnd.oci.image.manifest.v1+json")
    manifest["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    (folder / name / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (folder / name / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    return [layer["digest"].removeprefix("sha256:") for layer in layers]


def repart_definitions(folder, source):
    """Root, hash tree and signature, as `verity rootfs` makes them."""
    folder.mkdir()
    for name, lines in {
            "10-root": ["Type=root", "Format=erofs", f"CopyFiles={source}:/", "Verity=data", "VerityMatchKey=root", "Minimize=guess"],
            "20-verity": ["Type=root-verity", "Verity=hash", "VerityMatchKey=root", "Minimize=best"],
            "30-signature": ["Type=root-verity-sig", "Verity=signature", "VerityMatchKey=root"]}.items():
        (folder / f"{name}.conf").write_text("\n".join(["[Partition]", *lines, ""]))
