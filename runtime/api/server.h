/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Serves io.holdfast.Groups for a manager. */
#pragma once

#include <systemd/sd-event.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "runtime/group/manager.h"

struct server;

/* Listens on the socket (mode 0600). */
int server_new(sd_event *event, struct manager *manager, const char *socket, struct server **ret,
               struct error *e);
struct server *server_free(struct server *s);
DEFINE_CLEANUP(struct server *, server_free)
