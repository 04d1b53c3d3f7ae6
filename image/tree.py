# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes the root image's tree: an allow-list of files from Debian's packages, the libraries they link, and image/root."""
import argparse
import json
import pathlib
import sys

from packages import Packages, TreeError, install, is_elf, merge_usr, read_list, remove_tree, run, settle

TOP = pathlib.Path(__file__).resolve().parent.parent
RECIPE = TOP / "image/root"
MOUNT_POINTS = ("dev", "proc", "run", "sys", "tmp", "var")
MODES = {"root": 0o700, "tmp": 0o1777}
PURPOSES = ("boot", "rootfs", "layer", "policy", "manifest", "test", "build")


def arguments():
    parser = argparse.ArgumentParser(
        prog="image/tree", description="Makes the root image's tree and its package list below OUTPUT (root/, packages.json).")
    parser.add_argument("--output", metavar="DIR", type=pathlib.Path, default=TOP / "build/tree", help="default: build/tree")
    parser.add_argument("--programs", metavar="DIR", type=pathlib.Path, default=TOP / "build/release/bin",
                        help="where our compiled programs are (default: build/release/bin)")
    parser.add_argument("--trust", metavar="DIR", type=pathlib.Path, default=TOP / "build/keys",
                        help="where the certificates PURPOSE.pem are (default: build/keys)")
    parser.add_argument("--add", metavar="DIR", type=pathlib.Path, action="append", default=[],
                        help="copy this tree over the result; may be repeated")
    parser.add_argument("--partial", action="store_true",
                        help="leave out programs and certificates that do not exist, and say which; never for an image that ships")
    parser.add_argument("--update", action="store_true", help="fetch the newest packages even if there are some")
    return parser.parse_args()


def own_files(options):
    """(source, path in the root) of our programs and certificates; fails on a missing one unless the tree may be partial."""
    files = [(options.programs / pathlib.Path(p).name, p) for p in read_list(RECIPE / "programs.list")]
    files += [(options.trust / f"{p}.pem", f"etc/holdfast/trust/{p}.pem") for p in PURPOSES]
    missing = [str(source) for source, _ in files if not source.is_file()]
    if missing and not options.partial:
        raise TreeError(f"{missing[0]}: not found ({len(missing)} missing; --partial makes a tree without them)")
    for name in missing:
        print(f"image/tree: left out: {name}", file=sys.stderr)
    return [(source, path) for source, path in files if source.is_file()]


def copy_tree(source, root):
    for path in sorted(source.rglob("*")):
        if path.is_symlink() or not path.is_dir():
            to = root / path.relative_to(source)
            if to.is_symlink() or to.exists():
                to.unlink()
            install(path, to)


def refuse_scripts(root):
    """The image has no interpreter: an executable that the kernel would hand to one cannot be meant."""
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.stat().st_mode & 0o111 and not is_elf(path):
            raise TreeError(f"{path.relative_to(root)}: executable, but no ELF file")


def make_root(root, packages, options):
    """Fills `root`; returns the files that came from packages."""
    own = own_files(options)
    chosen = packages.closure(packages.select(read_list(RECIPE / "files.list")), [source for source, _ in own])
    merge_usr(root)
    packages.copy(chosen, root)
    for name in (*MOUNT_POINTS, "root", "usr/lib/holdfast"):
        (root / name).mkdir(parents=True, exist_ok=True)
    copy_tree(RECIPE / "etc", root / "etc")
    copy_tree(RECIPE / "units", root / "usr/lib/systemd/system")
    (root / "usr/lib/systemd/system/default.target").symlink_to("holdfast.target")
    for source, path in own:
        install(source, root / path)
    for tree in options.add:
        if not tree.is_dir():
            raise TreeError(f"{tree}: not a directory")
        copy_tree(tree, root)
    refuse_scripts(root)
    run("ldconfig", "-X", "-r", root)
    remove_tree(root / "var/cache")
    settle(root, MODES)
    return chosen


def main():
    options = arguments()
    try:
        packages = Packages.fetch(read_list(RECIPE / "packages.list"), options.output / "packages", options.update)
        fresh = options.output / "root.new"
        remove_tree(fresh)
        fresh.mkdir(parents=True)
        chosen = make_root(fresh, packages, options)
        remove_tree(options.output / "root")
        fresh.rename(options.output / "root")
        (options.output / "packages.json").write_text(json.dumps(packages.records(chosen), indent=1) + "\n")
    except (TreeError, OSError) as error:
        print(f"image/tree: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
