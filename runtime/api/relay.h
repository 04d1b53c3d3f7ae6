/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The two ends of the operator's pipe, over mux.h: the bridge in the machine (a virtio-serial port on one
 * side, one connection to groupd's socket per session on the other) and the broker on the build machine (the
 * emulator's socket, and a listening socket for any number of clients). */
#pragma once

#include "base/error.h"

#define BRIDGE_PORT "io.holdfast.groupd"

/* Serves until a signal (SIGTERM, SIGINT) ends it: 0. `socket` is where sessions are connected to. The port
 * is found by its name; -ENODEV when the machine has none. */
int relay_bridge(const char *port_name, const char *socket, struct error *e);

/* Connects to the emulator's socket and listens on `listen` (mode 0600; a stale socket file is replaced).
 * Ends with 0 when the machine or a signal ends it. A client that comes while the machine does not answer is
 * disconnected. */
int relay_broker(const char *port, const char *listen, struct error *e);
