/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The network of a group: a namespace of its own with one interface, eth0, whose address lies in the uplink's
 * subnet. The uplink answers ARP for it (proxy neighbour), a route leads to it, and the group reaches
 * everything through the host.
 *
 * What is behind this header is a veth pair and the kernel's routing; it knows nothing of groups but their
 * names, so that another data path can take its place. Functions are idempotent: making what is half there
 * makes it whole, removing what is gone is no error. IPv4 only. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* The interface that leads outside, with its address. */
struct net_uplink {
        unsigned index;
        char name[16];
        struct in_addr address;
        unsigned prefix;        /* bits */
        struct in_addr gateway; /* 0.0.0.0 where the default route has none */
};

/* The interface of the default route, or where there is none the first Ethernet interface that has a global
 * address. -EAGAIN while no interface has an address. */
int net_find_uplink(struct net_uplink *ret, struct error *e);

/* A free address of the subnet, from its top downwards; used: those of other groups. With `wanted`, that one
 * or -EADDRINUSE, -EADDRNOTAVAIL when it is not of the subnet. A pure function. */
int net_choose_address(const struct net_uplink *uplink, const struct in_addr *used, size_t n_used,
                       const struct in_addr *wanted, struct in_addr *ret, struct error *e);

/* Makes the namespace, bound to the file netns_path (made, with its directory), and connects it.
 * `host_interface` names the host's end, at most 15 characters. */
int net_create(const char *netns_path, const char *host_interface, const struct net_uplink *uplink,
               struct in_addr address, struct error *e);

/* Removes all of it. `address` may be 0.0.0.0 if none was chosen. */
int net_remove(const char *netns_path, const char *host_interface, struct in_addr address, struct error *e);
