/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* rtnetlink by libmnl: build a request, send it, wait for the kernel's answer. */
#pragma once

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

struct rtnl {
        struct mnl_socket *socket;
        uint32_t sequence;
        char buffer[8192];
};

/* In the network namespace of the calling thread; the socket stays there. */
int rtnl_open(struct rtnl *rtnl, struct error *e);
void rtnl_close(struct rtnl *rtnl);

/* Begins a request in the socket's buffer; attributes and payload are put behind it. */
struct nlmsghdr *rtnl_request(struct rtnl *rtnl, uint16_t type, uint16_t flags);

/* Sends it and waits for the acknowledgement. `what` stands in front of the message. */
int rtnl_call(struct rtnl *rtnl, struct nlmsghdr *request, struct error *e, const char *what);

/* Sends a dump request and calls back for each message; callbacks return MNL_CB_OK. -EAGAIN: ask again. */
int rtnl_dump(struct rtnl *rtnl, struct nlmsghdr *request, mnl_cb_t callback, void *userdata, struct error *e,
              const char *what);
