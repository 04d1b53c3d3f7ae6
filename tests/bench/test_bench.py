# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the benches do with samples and with what guests report, without a guest."""
import contextlib
import io
import json
import pathlib
import sys
import tarfile
import tempfile
import unittest

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "image")]

import compare_boot  # noqa: E402
import compare_tpm  # noqa: E402
import inputs  # noqa: E402
from boot import BootError  # noqa: E402
from figures import Aim, Figure, cell, print_json, print_table  # noqa: E402

SUBJECTS = {"holdfast": "Holdfast", "stock": "stock"}
REPORT = """engine=30000000
MemTotal=1000000
MemAvailable=900000
InitRDTimestampMonotonic=5000000
UserspaceTimestampMonotonic=5000000
ActiveState=active
ActiveEnterTimestampMonotonic=25000000
end=0
"""


def figure(*, holdfast, stock):
    return Figure("init to ready", "s", {"holdfast": holdfast, "stock": stock})


class Figures(unittest.TestCase):
    def test_median_and_spread(self):
        f = figure(holdfast=[3.0, 1.0, 2.0], stock=[9.0])
        self.assertEqual((f.median("holdfast"), f.spread("holdfast")), (2.0, (1.0, 3.0)))
        self.assertEqual(cell(f, "holdfast"), "2.0 s (1.0..3.0)")
        self.assertEqual(cell(f, "stock"), "9.0 s")

    def test_aim_is_a_limit(self):
        self.assertTrue(Aim("a", 0.25, 0.25).met)
        self.assertFalse(Aim("a", 0.2501, 0.25).met)

    def test_aim_may_be_a_least_value(self):
        self.assertTrue(Aim("a", 5.1, 5, least=True).met)
        self.assertFalse(Aim("a", 4.9, 5, least=True).met)

    def test_json_has_the_agreed_form(self):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            print_json([figure(holdfast=[1.0], stock=[4.0])], {"cores": 2}, [Aim("ready", 0.25, 0.25)], False)
        shown = json.loads(out.getvalue())
        self.assertEqual(sorted(shown), ["aims", "figures", "machine"])
        self.assertEqual(shown["aims"], [{"name": "ready", "value": 0.25, "aim": 0.25, "met": True}])
        self.assertEqual(shown["figures"][0]["stock"], {"median": 4.0, "min": 4.0, "max": 4.0, "samples": [4.0]})

    def test_table_names_a_missed_aim(self):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            print_table([figure(holdfast=[2.0], stock=[4.0])], SUBJECTS, {"cores": 2}, [Aim("ready", 0.5, 0.25)])
        self.assertRegex(out.getvalue(), r"init to ready +2\.0 s +4\.0 s +0\.50\n")
        self.assertRegex(out.getvalue(), r"ready +at most 0\.25 +0\.50 +MISSED\n")


class Report(unittest.TestCase):
    def test_not_ended(self):
        self.assertIsNone(compare_boot.parse_report("engine=30000000\nMem"))

    def test_error_is_raised(self):
        with self.assertRaisesRegex(BootError, "the container engine does not answer: No such file"):
            compare_boot.parse_report("error=the container engine does not answer: No such file or directory\n")

    def test_inactive_unit_is_no_measurement(self):
        with self.assertRaisesRegex(BootError, "expected, found failed"):
            compare_boot.parse_report(REPORT.replace("=active", "=failed"))

    def test_holdfast_starts_with_osguard(self):
        values = compare_boot.figures_of("holdfast", compare_boot.parse_report(REPORT), "x\nosguard: start at 4.00 s\n", 7.0, 60.0)
        self.assertEqual(values["init to ready"], 21.0)
        self.assertEqual(values["init to first answer"], 26.0)
        self.assertEqual(values["hand-over to init"], 27.0)
        self.assertEqual(values["memory when idle"], 100000 / 1024)

    def test_stock_starts_with_systemd_in_the_initrd(self):
        values = compare_boot.figures_of("stock", compare_boot.parse_report(REPORT), "", 7.0, 60.0)
        self.assertEqual((values["hand-over to init"], values["init to ready"]), (28.0, 20.0))

    def test_a_missing_time_is_an_error(self):
        with self.assertRaisesRegex(BootError, "osguard's start"):
            compare_boot.figures_of("holdfast", compare_boot.parse_report(REPORT), "", 7.0, 60.0)
        with self.assertRaisesRegex(BootError, "ActiveEnterTimestampMonotonic"):
            compare_boot.figures_of("stock", compare_boot.parse_report(REPORT.replace("ActiveEnter", "Another")), "", 7.0, 60.0)


SERIAL = """osguard: start at 3.50 s
osguard: tpm done at 4.00 s
osguard: esp done at 4.10 s
osguard: versions done at 4.30 s
osguard: measure done at 4.31 s
osguard: volume done at 4.60 s
osguard: promise done at 4.62 s
"""


class Tpm(unittest.TestCase):
    def test_steps_take_the_time_since_the_one_before(self):
        self.assertEqual(compare_tpm.step_times(SERIAL), {"tpm": 0.5, "esp": 0.1, "versions": 0.2, "measure": 0.01, "volume": 0.29, "promise": 0.02})

    def test_a_step_that_did_not_run_is_an_error(self):
        with self.assertRaisesRegex(BootError, "osguard's step volume"):
            compare_tpm.step_times(SERIAL.replace("volume", "other"))

    def test_operations_are_held_against_a_bare_command(self):
        report = {name: [0.002, 0.004] for name in compare_tpm.OPERATIONS} | {"random": [0.001, 0.003]}
        quote = next(f for f in compare_tpm.operation_figures(report) if f.name == "quote")
        self.assertEqual((quote.median("ours"), quote.median("peer")), (3.0, 2.0))

    def test_later_boots_have_the_aim(self):
        part = Figure("part of init to ready", "", {"later": [0.09, 0.11, 0.12], "first": [0.3]})
        self.assertEqual([(a.value, a.met) for a in compare_tpm.aims_of("boot", [part])], [(0.11, False)])


class Inputs(unittest.TestCase):
    def test_flat_tar_has_all_its_files(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "t.tar")
            inputs.flat_tar(path, 1000)
            with tarfile.open(path) as tar:
                self.assertEqual(sorted(tar.getnames()), [f"directory/file-{i:06}" for i in range(1000)])

    def test_remove_takes_files_trees_and_nothing(self):
        with tempfile.TemporaryDirectory() as folder:
            top = pathlib.Path(folder, "tree")
            (top / "sub").mkdir(parents=True)
            (top / "sub/file").touch()
            for path in (top / "sub/file", top, top):
                inputs.remove(path)
            self.assertEqual(list(pathlib.Path(folder).iterdir()), [])


if __name__ == "__main__":
    unittest.main()
