# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian packages as trees of files: fetch them without running their scripts, choose files by an allow-list,
close the choice over shared libraries, copy it so that two runs give the same tree.

Runs inside the build root (mmdebstrap, dpkg-deb, readelf). Errors are raised as TreeError with the thing named.
"""
import glob
import hashlib
import json
import os
import pathlib
import re
import shutil
import stat
import subprocess
import tarfile

SUITE = "trixie"
LOADER = "usr/lib64/ld-linux-x86-64.so.2"
LIBRARY_DIRS = ("usr/lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/systemd", "usr/lib")
# Merged /usr, by symlinks of our own: the packages carry only their files.
MERGED = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}


class TreeError(RuntimeError):
    """The tree cannot be made; the message names the file or package."""


def run(*command, **options):
    """Runs a command; its standard error becomes the error message. Returns standard output (bytes)."""
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, **options)
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        reason = next((line for line in lines if line.startswith("E:")), lines[-1] if lines else "no message")
        raise TreeError(f"{command[0]}: exit status {done.returncode}: {reason}")
    return done.stdout


def read_list(path):
    """The words of a list file: one a line, `#` starts a comment."""
    lines = (line.split("#", 1)[0].strip() for line in pathlib.Path(path).read_text().splitlines())
    return [line for line in lines if line]


def remove_tree(path):
    if os.path.lexists(path):
        shutil.rmtree(path)


def is_elf(path):
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"


class Packages:
    """An extracted set of packages: `root` (their files) and `packages` (name -> version, architecture, source, files)."""

    def __init__(self, directory):
        self.root = pathlib.Path(directory) / "root"
        self.packages = json.loads((pathlib.Path(directory) / "packages.json").read_text())
        self.owner = {f: name for name, p in self.packages.items() for f in p["files"]}

    @classmethod
    def fetch(cls, names, directory, update=False):
        """Extracts the named packages and what they depend on below `directory`, unless they are there already. With `update` the
        mirror's newest versions are fetched in any case."""
        directory = pathlib.Path(directory)
        sources = pathlib.Path("/etc/apt/sources.list").read_text()
        stamp = hashlib.sha256("\n".join([sources, *sorted(names)]).encode()).hexdigest()
        stamp_file = directory / "stamp"
        if update or not stamp_file.exists() or stamp_file.read_text() != stamp:
            fresh = directory.with_name(directory.name + ".new")
            remove_tree(fresh)
            fresh.mkdir(parents=True)
            extract(names, fresh / "root", sources)
            packages = {}
            for deb in sorted((fresh / "root/var/cache/apt/archives").glob("*.deb")):
                name, record = describe(deb)
                packages[name] = record
            (fresh / "packages.json").write_text(json.dumps(packages, indent=1, sort_keys=True) + "\n")
            (fresh / "stamp").write_text(stamp)
            remove_tree(directory)
            fresh.rename(directory)
        return cls(directory)

    def select(self, patterns):
        """The files that the glob patterns name (`**` crosses folders), in their order; `!PATTERN` takes files out again.
        A pattern without a file is an error."""
        chosen = set()
        for pattern in patterns:
            expression = re.compile(glob.translate(pattern.lstrip("!"), recursive=True, include_hidden=True))
            found = {f for f in (chosen if pattern.startswith("!") else self.owner) if expression.match(f)}
            if not found:
                raise TreeError(f"{pattern}: no file of the packages matches")
            chosen = chosen - found if pattern.startswith("!") else chosen | found
        return self.with_targets(chosen)

    def with_targets(self, files):
        """Adds what symbolic links point at, where the packages have it."""
        chosen = set()
        for file in files:
            while file is not None and file not in chosen:
                chosen.add(file)
                file = self.target(file)
        return chosen

    def target(self, file):
        path = self.root / file
        if not path.is_symlink():
            return None
        to = os.readlink(path)
        joined = to.lstrip("/") if to.startswith("/") else os.path.normpath(os.path.join(os.path.dirname(file), to))
        top, _, rest = joined.partition("/")
        joined = f"{MERGED.get(top, top)}/{rest}" if rest else joined
        return joined if joined in self.owner else None

    def library(self, soname, wanted_by):
        for folder in LIBRARY_DIRS:
            if f"{folder}/{soname}" in self.owner:
                return f"{folder}/{soname}"
        raise TreeError(f"{wanted_by}: needs {soname}, which no package of the list has")

    def closure(self, files, extra=()):
        """`files` and every shared library that they, and the programs `extra` from outside the packages, need."""
        chosen, todo = set(), set(files)
        needed = needed_libraries(extra)
        if extra:
            todo |= self.with_targets({LOADER})
        while todo or needed:
            chosen |= todo
            needed |= needed_libraries(self.root / f for f in todo if not (self.root / f).is_symlink())
            if any(soname == "libc.so.6" for soname, _ in needed):
                todo |= self.with_targets({LOADER})
            for soname, wanted_by in needed:
                todo |= self.with_targets({self.library(soname, wanted_by)})
            todo -= chosen
            needed = set()
        return chosen

    def copy(self, files, destination):
        for file in sorted(files):
            install(self.root / file, pathlib.Path(destination) / file)

    def records(self, files):
        """Name, version, architecture and source of each package that has one of `files`, sorted by name."""
        names = sorted({self.owner[f] for f in files if f in self.owner})
        return [{"name": n, **{k: self.packages[n][k] for k in ("version", "architecture", "source")}} for n in names]


def extract(names, root, sources):
    """Extracts packages, keeping the .deb files; a failure names the mirrors, since the usual reason is the network."""
    try:
        run("mmdebstrap", "--quiet", "--mode=root", "--variant=extract", "--skip=cleanup/apt/cache", "--skip=output/dev",
            "--include=" + ",".join(sorted(names)), SUITE, root, "/etc/apt/sources.list")
    except TreeError as error:
        mirrors = " ".join(sorted(set(re.findall(r"\bhttps?://\S+", sources))))
        raise TreeError(f"packages could not be fetched from {mirrors}: {error}") from error


def describe(deb):
    """Name, version, architecture, source and files of one .deb."""
    fields = run("dpkg-deb", "--show", "--showformat=${Package}\n${Version}\n${Architecture}\n${source:Package}", deb)
    name, version, architecture, source = fields.decode().split("\n")
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE) as process:
        with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
            files = sorted(os.path.normpath(m.name) for m in tar if not m.isdir())
    if process.returncode != 0:
        raise TreeError(f"{deb.name}: dpkg-deb: exit status {process.returncode}")
    return name, {"version": version, "architecture": architecture, "source": source, "files": files}


def needed_libraries(paths):
    """(soname, who needs it) of each ELF file among `paths`."""
    files = [str(p) for p in paths if os.path.isfile(p) and is_elf(p)]
    if not files:
        return set()
    needed, current = set(), files[0]
    for line in run("readelf", "--dynamic", "--wide", *files).decode().splitlines():
        if line.startswith("File: "):
            current = line[len("File: "):]
        elif match := re.search(r"\(NEEDED\).*\[(.+)\]", line):
            if not match[1].startswith("ld-linux"):
                needed.add((match[1], current))
    return needed


def install(source, destination):
    """Copies one file or link. Modes are 0755 or 0644; what must never be in an image is an error."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink():
        destination.symlink_to(os.readlink(source))
        return
    mode = source.stat().st_mode
    if not stat.S_ISREG(mode):
        raise TreeError(f"{source}: a regular file or a link expected")
    if mode & (stat.S_ISUID | stat.S_ISGID):
        raise TreeError(f"{source}: setuid and setgid files cannot be in an image")
    shutil.copyfile(source, destination)
    destination.chmod(0o755 if mode & 0o111 else 0o644)


def merge_usr(root):
    """The links that make /bin, /sbin, /lib and /lib64 part of /usr."""
    for link, to in MERGED.items():
        (root / to).mkdir(parents=True, exist_ok=True)
        (root / link).symlink_to(to)


def settle(root, modes):
    """Gives every entry owner root and time 0, every directory mode 0755 or what `modes` says for its path."""
    for folder, folders, files in os.walk(root, topdown=False):
        for name in [*files, *folders]:
            path = os.path.join(folder, name)
            os.chown(path, 0, 0, follow_symlinks=False)
            if name in folders and not os.path.islink(path):
                os.chmod(path, modes.get(os.path.relpath(path, root), 0o755))
            os.utime(path, (0, 0), follow_symlinks=False)
    os.chmod(root, 0o755)
    os.utime(root, (0, 0))
