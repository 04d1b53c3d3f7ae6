# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the build manifest of a variant foretold, against what a machine's TPM holds."""

import json

import guestfiles as build


def compare_prediction(suite, variant, pcrs):
    manifest = json.loads(build.run(build.BUILD / "release/bin/attest", "show", f"--trust={build.KEYS}", build.BUILD / f"image/manifest-{variant}.p7m"))
    for pcr, expected in sorted(manifest["pcrs"].items(), key=lambda item: int(item[0])):
        suite.check(f"PCR {pcr} is what the build manifest foretold", pcrs[int(pcr)] == expected, f"{expected} expected, found {pcrs[int(pcr)]}")
