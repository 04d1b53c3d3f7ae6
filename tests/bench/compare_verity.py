# SPDX-License-Identifier: LGPL-2.1-or-later
"""What tests/bench/verity measures. Runs in the build root, where /tmp is a tmpfs of its own."""
import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
sys.path.insert(0, str(HERE))

import inputs  # noqa: E402
from figures import Aim, Figure, draw, host_machine, print_json, print_table  # noqa: E402

SUBJECTS = {"ours": "verity", "peer": "peer"}
PARTS = ("tree", "build", "layers", "rootfs")
ENGINES = ("avx512", "sha-ni", "avx2", "openssl")  # of verity-tools/hash.h
SALT = "00" * 32
GIB = 1 << 30


def say(text):
    print(f"\033[1m==>\033[0m {text}", file=sys.stderr, flush=True)


def arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/verity", add_help=False)
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--plots", type=pathlib.Path)
    parser.add_argument("--json", choices=("off", "short", "pretty"), default="off")
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--programs", type=pathlib.Path, default=TOP / "build/release")
    options = parser.parse_args()
    if not 1 <= options.samples <= 100:
        parser.error(f"--samples: 1 to 100 expected, found {options.samples}")
    options.only = options.only or list(PARTS)
    return options


class Bench:
    """The run: where files lie, what was measured."""

    def __init__(self, options, folder):
        self.folder, self.samples, self.log = folder, options.samples, folder / "log"
        programs = options.programs.resolve()
        self.verity, self.bench_hash, self.bench_inflate = (programs / p for p in ("bin/verity", "tests/bench/bench-hash", "tests/bench/bench-inflate"))
        self.processors = sorted(os.sched_getaffinity(0))
        self.figures, self.aims, self.speeds = [], [], {}
        self.load = round(os.getloadavg()[0], 1)

    def run(self, *lines, processors=None):
        """Seconds that the commands take, one after the other, on so many processors."""
        os.sched_setaffinity(0, self.processors[:processors])
        started = time.perf_counter()
        for line in lines:
            with self.log.open("w") as log:
                status = subprocess.run([*map(str, line)], stdout=log, stderr=log, cwd=self.folder, check=False).returncode
            if status != 0:
                raise subprocess.SubprocessError(f"{line[0]}: status {status}: {self.log.read_text()[-300:]}")
        took = time.perf_counter() - started
        os.sched_setaffinity(0, self.processors)
        return took

    def output(self, *line, processors=1):
        prefix = ["taskset", "-c", ",".join(map(str, self.processors[:processors]))]
        return subprocess.run([*prefix, *map(str, line)], capture_output=True, check=True, text=True, cwd=self.folder).stdout

    def pairs(self, name, ours, peer, *, clean=(), processors=None):
        """Both in turn; outputs go before each run, so that nobody pays for the old ones."""
        figure = Figure(name, "s")
        say(f"{name}: {self.samples} of each")
        for _ in range(self.samples):
            for subject, lines in (("ours", ours), ("peer", peer)):
                for path in clean:
                    inputs.remove(self.folder / path)
                figure.add(subject, self.run(*lines, processors=processors))
        for path in clean:
            inputs.remove(self.folder / path)
        self.figures.append(figure)
        return figure

    def faster(self, figure, times):
        """An aim: how many times as fast as the peer."""
        self.aims.append(Aim(figure.name, figure.median("peer") / figure.median("ours"), times, "times as fast", least=True))

    def machine(self):
        return {**host_machine(), "hash_engine": fastest(self.speeds["1"]) if self.speeds else "not measured",
                "samples": self.samples, "load_before": self.load}


def engine_speeds(bench, processors):
    """Bytes a second of each engine, on all of the processors at once, and what openssl says of itself."""
    started = [subprocess.Popen(["taskset", "-c", str(p), bench.bench_hash, "0.5"], stdout=subprocess.PIPE, text=True)
               for p in bench.processors[:processors]]
    shown = [json.loads(p.communicate()[0]) for p in started]
    speeds = {engine: sum(s[engine] for s in shown) for engine in shown[0]}
    text = bench.output("openssl", "speed", "-seconds", "1", "-bytes", "4096", "-mr", "-multi", processors, "-evp", "sha256", processors=processors)
    speeds["openssl speed"] = float(re.findall(r"^\+F:.*:([0-9.]+)$", text, re.M)[-1])
    return speeds


def fastest(speeds):
    return max((e for e in speeds if e in ENGINES), key=speeds.get)


def trees(bench):
    """Hash trees of 1 GiB of random data, where the page cache has large pages, and where it has pages of 4 KiB."""
    for processors in (1, 2):
        if processors > len(bench.processors):
            say(f"hash tree on {processors} processors: not measured, there is one")
        else:
            bench.speeds[str(processors)] = engine_speeds(bench, processors)
    for pages, huge in (("large pages", "always"), ("4 KiB pages", "never")):
        place = bench.folder / pages.replace(" ", "-")
        place.mkdir()
        bench.run(["mount", "-t", "tmpfs", "-o", f"size=1300m,huge={huge}", "tmpfs", place])
        try:
            trees_in(bench, place, pages)
        finally:
            bench.run(["umount", place])


def trees_in(bench, place, pages):
    data, tree, stored = (place / name for name in ("data", "tree", "stored"))
    inputs.random_file(data, GIB)
    root_hash = bench.output(bench.verity, "format", data, f"--hash-file={tree}").split()[-1]
    shutil.copy(tree, stored)
    write = [[bench.verity, "format", data, f"--hash-file={tree}"]]
    verify = [[bench.verity, "verify", data, f"--hash-file={stored}", f"--root-hash={root_hash}"]]
    for processors, times in ((1, 2.5), (2, 4.5)):
        if str(processors) not in bench.speeds:
            continue
        speeds = bench.speeds[str(processors)]
        on = f"{processors} processor{'s' if processors > 1 else ''}, {pages}"
        written = bench.pairs(f"hash tree of 1 GiB, {on}; veritysetup format", write,
                              [["veritysetup", "format", f"--salt={SALT}", data, tree]], clean=[tree], processors=processors)
        read = bench.pairs(f"verify 1 GiB, {on}; veritysetup verify", verify,
                           [["veritysetup", "verify", data, stored, root_hash]], processors=processors)
        for figure in (written, read):
            speeds[f"{figure.name.split(',')[0]}, {pages}"] = GIB / figure.median("ours")
        if pages == "large pages":
            bench.faster(written, times)
            bench.faster(read, times)
            beside_engine(bench, f"hash tree of 1 GiB, {on}", write, tree, processors)
            beside_engine(bench, f"verify 1 GiB, {on}", verify, tree, processors)


def beside_engine(bench, name, ours, tree, processors):
    """The whole program beside one that does nothing but hash as many bytes from the cache, with the fastest engine."""
    engine = fastest(bench.speeds[str(processors)])
    figure = bench.pairs(f"{name}; {engine} alone", ours, [[bench.bench_hash, engine, GIB]], clean=[tree], processors=processors)
    bench.faster(figure, 0.85)


def pipeline(source, output, *options):
    """The peers' way from a tar to an image with its hash tree."""
    return [["mkfs.erofs", "--quiet", "-T0", "--tar=f", "--aufs", *options, output, source],
            ["veritysetup", "format", f"--salt={SALT}", output, f"{output}.hash"]]


def builds(bench):
    """/usr of the build root, and many files in one directory."""
    say("a tar of /usr")
    bench.run(["tar", "--sort=name", "-C", "/", "-cf", "usr.tar", "usr"])
    ours = [[bench.verity, "build", "usr.tar", "-o", "ours", "--allow-setuid"]]
    clean = ["ours", "theirs", "theirs.hash"]
    bench.faster(bench.pairs("image of a tar of /usr; mkfs.erofs and veritysetup", ours, pipeline("usr.tar", "theirs"), clean=clean), 5)
    copied = bench.pairs("image of a tar of /usr; cp of the tar", ours, [["cp", "usr.tar", "theirs"]], clean=clean)
    bench.aims.append(Aim(copied.name, copied.median("ours") / copied.median("peer"), 1.6, "times as long"))
    inputs.remove(bench.folder / "usr.tar")
    for name, n in (("many.tar", 50_000), ("few.tar", 10_000)):
        inputs.flat_tar(bench.folder / name, n)
    linear = bench.pairs("50,000 files in a directory; 10,000 files", [[bench.verity, "build", "many.tar", "-o", "ours"]],
                         [[bench.verity, "build", "few.tar", "-o", "ours"]], clean=["ours"])
    bench.aims.append(Aim(linear.name, linear.median("ours") / linear.median("peer"), 7, "times as long"))
    for name in ("many.tar", "few.tar"):
        inputs.remove(bench.folder / name)


def layers(bench):
    """An image of 12 layers, gzip, as registries hold them."""
    say("an image of 12 layers")
    blobs = inputs.layered_image(bench.folder, "layers", 12)
    sign = bench_key(bench, "layer")
    manifest = bench_key(bench, "manifest")
    ours = [[bench.verity, "image", "layers", "-o", "ours", "--allow-setuid", f"--key={sign}.key", f"--certificate={sign}.pem",
             f"--manifest-key={manifest}.key", f"--manifest-certificate={manifest}.pem"]]
    theirs = [["skopeo", "copy", "--insecure-policy", "oci:layers", "dir:copy"]]
    for i, blob in enumerate(blobs):
        theirs += pipeline(f"copy/{blob}", f"theirs{i}", "--ungzip")
    clean = ["ours", "copy", *(f"theirs{i}{end}" for i in range(len(blobs)) for end in ("", ".hash"))]
    bench.faster(bench.pairs("12 layers; skopeo, mkfs.erofs and veritysetup", ours, theirs, clean=clean), 3)
    paths = [f"layers/blobs/sha256/{blob}" for blob in blobs]
    bench.pairs("inflate of 12 layers by ISA-L, 1 processor; by libdeflate, whole layers in memory",
                *([[bench.bench_inflate, library, path] for path in paths] for library in ("isa-l", "libdeflate")), processors=1)
    inputs.remove(bench.folder / "layers")


def bench_key(bench, purpose):
    bench.run([bench.verity, "keygen", f"--purpose={purpose}", f"--key={purpose}.key", f"--certificate={purpose}.pem"])
    return purpose


def rootfs(bench):
    """A signed disk image of one tree."""
    say("a tree")
    inputs.tree(bench.folder, "tree")
    key = bench_key(bench, "rootfs")
    inputs.repart_definitions(bench.folder / "definitions", bench.folder / "tree")
    ours = [[bench.verity, "rootfs", "tree", "-o", "ours", "--allow-setuid", f"--key={key}.key", f"--certificate={key}.pem"]]
    theirs = [["systemd-repart", "--empty=create", "--size=auto", "--offline=yes", "--dry-run=no", "--definitions=definitions", f"--private-key={key}.key",
               f"--certificate={key}.pem", "--architecture=x86-64", "theirs"]]
    bench.faster(bench.pairs("signed disk image; systemd-repart", ours, theirs, clean=["ours", "theirs"]), 5)
    inputs.remove(bench.folder / "tree")


def draw_speeds(bench, directory):
    """Throughput by processors and engine."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(bench.speeds["1"])
    page, panel = pyplot.subplots(figsize=(9, 4.5), layout="constrained")
    width = 0.8 / len(bench.speeds)
    for i, (processors, speeds) in enumerate(bench.speeds.items()):
        places = [n + i * width for n in range(len(names))]
        panel.bar(places, [speeds[n] / 1e9 for n in names], width, label=f"{processors} processor{'s' if processors != '1' else ''}",
                  color=("#a9d6e5", "#2a6f97")[i])
        for place, name in zip(places, names):
            panel.annotate(f"{speeds[name] / 1e9:.1f}", (place, speeds[name] / 1e9), (0, 3), textcoords="offset points", ha="center", fontsize=8)
    panel.set_xticks([n + width * (len(bench.speeds) - 1) / 2 for n in range(len(names))], names, rotation=20, ha="right")
    panel.set_ylabel("GB/s")
    panel.set_title("SHA-256 of blocks of 4096 bytes: engines on a buffer in cache, and whole trees")
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False)
    directory.mkdir(parents=True, exist_ok=True)
    page.savefig(directory / "verity-speed.png", dpi=110)
    pyplot.close(page)


def bench(options):
    with tempfile.TemporaryDirectory(prefix="bench-verity-", dir="/tmp") as folder:
        run = Bench(options, pathlib.Path(folder))
        for name, part in zip(PARTS, (trees, builds, layers, rootfs)):
            if name in options.only:
                part(run)
    if options.plots:
        draw(run.figures, SUBJECTS, {}, options.plots, "verity", "verity beside its peers, on the same files in memory")
        if run.speeds:
            draw_speeds(run, options.plots)
    if options.json == "off":
        print_table(run.figures, SUBJECTS, run.machine(), run.aims)
    else:
        print_json(run.figures, run.machine(), run.aims, options.json == "pretty")
    return 0 if all(a.met for a in run.aims) else 1


def main():
    options = arguments()
    started = time.monotonic()
    try:
        status = bench(options)
        say(f"{time.monotonic() - started:.0f} s")
        return status
    except (OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
        print(f"tests/bench/verity: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("tests/bench/verity: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
