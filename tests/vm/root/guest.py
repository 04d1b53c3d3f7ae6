# SPDX-License-Identifier: LGPL-2.1-or-later
"""The booted image, variant test: what root tries from a disk signed for tests (guest/payload.c)."""

from boot import image_machine

TIMEOUT = 300
PORT = "io.holdfast.payload"


def run(suite):
    with image_machine(suite.work / "machine", "test", ports={PORT: "file"}) as machine:
        machine.start()
        suite.collect(machine, machine.port_logs[PORT], TIMEOUT)
