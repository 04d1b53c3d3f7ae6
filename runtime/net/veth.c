/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/net/net.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/veth.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/file.h"
#include "runtime/net/rtnl.h"

/* The group's next hop: not an address of anybody, only a name for the host's end of the pair, whose hardware
 * address the group is told. */
#define NEXT_HOP 0xa9fe0101u /* 169.254.1.1 */

#define INSIDE "eth0"

/* --- the uplink --- */

static int on_default_route(const struct nlmsghdr *n, void *userdata)
{
        const struct rtmsg *route = mnl_nlmsg_get_payload(n);
        struct net_uplink *uplink = userdata;
        const struct nlattr *a;
        uint32_t table = route->rtm_table, interface = 0, gateway = 0;

        if (route->rtm_family != AF_INET || route->rtm_dst_len != 0 || route->rtm_type != RTN_UNICAST)
                return MNL_CB_OK;
        mnl_attr_for_each(a, n, sizeof(*route))
        {
                if (mnl_attr_get_type(a) == RTA_TABLE)
                        table = mnl_attr_get_u32(a);
                if (mnl_attr_get_type(a) == RTA_OIF)
                        interface = mnl_attr_get_u32(a);
                if (mnl_attr_get_type(a) == RTA_GATEWAY)
                        gateway = mnl_attr_get_u32(a);
        }
        if (table != RT_TABLE_MAIN || interface == 0 || uplink->index != 0)
                return MNL_CB_OK;
        uplink->index = interface;
        uplink->gateway.s_addr = gateway;
        return MNL_CB_OK;
}

static bool is_ethernet(const char *name)
{
        _cleanup_free_ char *text = NULL;
        char path[64];

        (void)snprintf(path, sizeof(path), "/sys/class/net/%s/device", name);
        return file_exists(AT_FDCWD, path) > 0; /* a real or emulated device: not lo, veth, bridges */
}

static int on_address(const struct nlmsghdr *n, void *userdata)
{
        const struct ifaddrmsg *address = mnl_nlmsg_get_payload(n);
        struct net_uplink *uplink = userdata;
        const struct nlattr *a;
        uint32_t local = 0;
        char name[IF_NAMESIZE];

        if (address->ifa_family != AF_INET || address->ifa_scope != RT_SCOPE_UNIVERSE ||
            uplink->address.s_addr != 0 || (address->ifa_flags & IFA_F_SECONDARY))
                return MNL_CB_OK;
        if (uplink->index != 0 && uplink->index != address->ifa_index)
                return MNL_CB_OK;
        mnl_attr_for_each(a, n, sizeof(*address)) if (mnl_attr_get_type(a) == IFA_LOCAL) local =
                mnl_attr_get_u32(a);
        if (local == 0 || !if_indextoname(address->ifa_index, name))
                return MNL_CB_OK;
        if (uplink->index == 0 && !is_ethernet(name))
                return MNL_CB_OK;
        uplink->index = address->ifa_index;
        uplink->address.s_addr = local;
        uplink->prefix = address->ifa_prefixlen;
        return MNL_CB_OK;
}

int net_find_uplink(struct net_uplink *ret, struct error *e)
{
        _cleanup_(rtnl_close) struct rtnl rtnl = {};
        struct net_uplink uplink = {};
        struct nlmsghdr *n;
        struct rtmsg *route;
        struct ifaddrmsg *address;
        int r;

        r = rtnl_open(&rtnl, e);
        if (r < 0)
                return r;
        n = rtnl_request(&rtnl, RTM_GETROUTE, 0);
        route = mnl_nlmsg_put_extra_header(n, sizeof(*route));
        route->rtm_family = AF_INET;
        r = rtnl_dump(&rtnl, n, on_default_route, &uplink, e, "routes");
        if (r < 0)
                return r;
        n = rtnl_request(&rtnl, RTM_GETADDR, 0);
        address = mnl_nlmsg_put_extra_header(n, sizeof(*address));
        address->ifa_family = AF_INET;
        r = rtnl_dump(&rtnl, n, on_address, &uplink, e, "addresses");
        if (r < 0)
                return r;
        if (uplink.address.s_addr == 0 || !if_indextoname(uplink.index, uplink.name))
                return error_set(e, -EAGAIN, "an uplink with an IPv4 address expected, found none");
        *ret = uplink;
        return 0;
}

/* --- the address --- */

static bool is_used(const struct net_uplink *uplink, const struct in_addr *used, size_t n_used,
                    uint32_t address)
{
        if (address == ntohl(uplink->address.s_addr) || address == ntohl(uplink->gateway.s_addr))
                return true;
        for (size_t i = 0; i < n_used; i++)
                if (ntohl(used[i].s_addr) == address)
                        return true;
        return false;
}

int net_choose_address(const struct net_uplink *uplink, const struct in_addr *used, size_t n_used,
                       const struct in_addr *wanted, struct in_addr *ret, struct error *e)
{
        char text[INET_ADDRSTRLEN], subnet[INET_ADDRSTRLEN];
        uint32_t mask, first, last;

        (void)inet_ntop(AF_INET, &uplink->address, subnet, sizeof(subnet));
        if (uplink->prefix < 8 || uplink->prefix > 30)
                return error_set(e, -EADDRNOTAVAIL, "%s: a subnet of 8 to 30 bits expected, found %s/%u",
                                 uplink->name, subnet, uplink->prefix);
        mask = ~0u << (32 - uplink->prefix);
        first = (ntohl(uplink->address.s_addr) & mask) + 1;
        last = (ntohl(uplink->address.s_addr) | ~mask) - 1;
        if (wanted) {
                uint32_t address = ntohl(wanted->s_addr);

                (void)inet_ntop(AF_INET, wanted, text, sizeof(text));
                if (address < first || address > last)
                        return error_set(e, -EADDRNOTAVAIL, "address %s: one of %s's subnet %s/%u expected",
                                         text, uplink->name, subnet, uplink->prefix);
                if (is_used(uplink, used, n_used, address))
                        return error_set(e, -EADDRINUSE, "address %s is in use", text);
                *ret = *wanted;
                return 0;
        }
        for (uint32_t address = last; address >= first; address--)
                if (!is_used(uplink, used, n_used, address)) {
                        ret->s_addr = htonl(address);
                        return 0;
                }
        return error_set(e, -EADDRINUSE, "%s's subnet %s/%u has no free address", uplink->name, subnet,
                         uplink->prefix);
}

/* --- the namespace --- */

/* Makes a network namespace, binds it to the path and opens a netlink socket in it. The calling thread is in
 * it for that moment; not to come back would change the whole daemon's network, so that is fatal. */
static int make_namespace(const char *path, struct rtnl *ret_inside, struct error *e)
{
        _cleanup_close_ int own = -EBADF, file = -EBADF;
        int r = 0;

        file = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
        if (file < 0)
                return error_errno(e, -errno, "%s", path);
        own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
        if (own < 0)
                return error_errno(e, -errno, "/proc/thread-self/ns/net");
        if (unshare(CLONE_NEWNET) < 0)
                return error_errno(e, -errno, "network namespace");
        if (mount("/proc/thread-self/ns/net", path, NULL, MS_BIND, NULL) < 0)
                r = error_errno(e, -errno, "%s", path);
        if (r >= 0)
                r = rtnl_open(ret_inside, e);
        if (r >= 0) /* no router advertisements, no link-local address: the group has one address */
                (void)write_kernel_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1", 1, NULL);
        if (setns(own, CLONE_NEWNET) < 0)
                abort();
        return r;
}

static int set_up(struct rtnl *rtnl, unsigned index, struct error *e, const char *what)
{
        struct nlmsghdr *n = rtnl_request(rtnl, RTM_NEWLINK, 0);
        struct ifinfomsg *link = mnl_nlmsg_put_extra_header(n, sizeof(*link));

        link->ifi_index = (int)index;
        link->ifi_flags = IFF_UP;
        link->ifi_change = IFF_UP;
        return rtnl_call(rtnl, n, e, what);
}

/* The pair: one end here, the other straight in the namespace. */
static int make_pair(struct rtnl *rtnl, const char *host_interface, int netns, struct error *e)
{
        struct nlmsghdr *n = rtnl_request(rtnl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
        struct nlattr *info, *data, *peer;

        (void)mnl_nlmsg_put_extra_header(n, sizeof(struct ifinfomsg));
        mnl_attr_put_strz(n, IFLA_IFNAME, host_interface);
        info = mnl_attr_nest_start(n, IFLA_LINKINFO);
        mnl_attr_put_strz(n, IFLA_INFO_KIND, "veth");
        data = mnl_attr_nest_start(n, IFLA_INFO_DATA);
        peer = mnl_attr_nest_start(n, VETH_INFO_PEER);
        (void)mnl_nlmsg_put_extra_header(n, sizeof(struct ifinfomsg));
        mnl_attr_put_strz(n, IFLA_IFNAME, INSIDE);
        mnl_attr_put_u32(n, IFLA_NET_NS_FD, (uint32_t)netns);
        mnl_attr_nest_end(n, peer);
        mnl_attr_nest_end(n, data);
        mnl_attr_nest_end(n, info);
        return rtnl_call(rtnl, n, e, host_interface);
}

static int remove_link(struct rtnl *rtnl, const char *name)
{
        struct nlmsghdr *n = rtnl_request(rtnl, RTM_DELLINK, 0);
        int r;

        (void)mnl_nlmsg_put_extra_header(n, sizeof(struct ifinfomsg));
        mnl_attr_put_strz(n, IFLA_IFNAME, name);
        r = rtnl_call(rtnl, n, NULL, name);
        return r == -ENODEV ? 0 : r;
}

struct link_found {
        unsigned index;
        uint8_t address[6];
};

static int on_link(const struct nlmsghdr *n, void *userdata)
{
        const struct ifinfomsg *link = mnl_nlmsg_get_payload(n);
        struct link_found *found = userdata;
        const struct nlattr *a;
        bool wanted = false;
        uint8_t address[6] = {};

        mnl_attr_for_each(a, n, sizeof(*link))
        {
                if (mnl_attr_get_type(a) == IFLA_IFNAME)
                        wanted = strcmp(mnl_attr_get_str(a), INSIDE) == 0;
                if (mnl_attr_get_type(a) == IFLA_ADDRESS && mnl_attr_get_payload_len(a) == sizeof(address))
                        memcpy(address, mnl_attr_get_payload(a), sizeof(address));
        }
        if (wanted) {
                found->index = (unsigned)link->ifi_index;
                memcpy(found->address, address, sizeof(address));
        }
        return MNL_CB_OK;
}

static int find_inside(struct rtnl *inside, struct link_found *ret, struct error *e)
{
        struct nlmsghdr *n = rtnl_request(inside, RTM_GETLINK, 0);
        int r;

        (void)mnl_nlmsg_put_extra_header(n, sizeof(struct ifinfomsg));
        r = rtnl_dump(inside, n, on_link, ret, e, "links of the group");
        if (r < 0)
                return r;
        return ret->index == 0 ? error_set(e, -ENODEV, INSIDE ": expected in the group, not found") : 0;
}

static int add_address(struct rtnl *rtnl, unsigned index, struct in_addr address, struct error *e)
{
        struct nlmsghdr *n = rtnl_request(rtnl, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
        struct ifaddrmsg *a = mnl_nlmsg_put_extra_header(n, sizeof(*a));

        a->ifa_family = AF_INET;
        a->ifa_prefixlen = 32;
        a->ifa_index = index;
        a->ifa_scope = RT_SCOPE_UNIVERSE;
        mnl_attr_put_u32(n, IFA_LOCAL, address.s_addr);
        mnl_attr_put_u32(n, IFA_ADDRESS, address.s_addr);
        return rtnl_call(rtnl, n, e, "address of the group");
}

static int add_neighbour(struct rtnl *rtnl, unsigned index, uint8_t flags, struct in_addr address,
                         const uint8_t *hardware, struct error *e)
{
        struct nlmsghdr *n = rtnl_request(rtnl, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE);
        struct ndmsg *neighbour = mnl_nlmsg_put_extra_header(n, sizeof(*neighbour));

        neighbour->ndm_family = AF_INET;
        neighbour->ndm_ifindex = (int)index;
        neighbour->ndm_state = NUD_PERMANENT;
        neighbour->ndm_flags = flags;
        mnl_attr_put_u32(n, NDA_DST, address.s_addr);
        if (hardware)
                mnl_attr_put(n, NDA_LLADDR, 6, hardware);
        return rtnl_call(rtnl, n, e, flags & NTF_PROXY ? "proxy neighbour" : "neighbour");
}

/* destination/length over the interface, with the next hop where there is one. */
static int add_route(struct rtnl *rtnl, unsigned index, struct in_addr destination, uint8_t length,
                     struct in_addr gateway, struct in_addr source, struct error *e)
{
        struct nlmsghdr *n = rtnl_request(rtnl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
        struct rtmsg *route = mnl_nlmsg_put_extra_header(n, sizeof(*route));

        route->rtm_family = AF_INET;
        route->rtm_dst_len = length;
        route->rtm_table = RT_TABLE_MAIN;
        route->rtm_protocol = RTPROT_STATIC;
        route->rtm_scope = gateway.s_addr ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
        route->rtm_type = RTN_UNICAST;
        if (gateway.s_addr)
                route->rtm_flags = RTNH_F_ONLINK;
        if (length > 0)
                mnl_attr_put_u32(n, RTA_DST, destination.s_addr);
        if (gateway.s_addr)
                mnl_attr_put_u32(n, RTA_GATEWAY, gateway.s_addr);
        if (source.s_addr)
                mnl_attr_put_u32(n, RTA_PREFSRC, source.s_addr);
        mnl_attr_put_u32(n, RTA_OIF, index);
        return rtnl_call(rtnl, n, e, "route");
}

static int read_hardware_address(const char *interface, uint8_t ret[static 6], struct error *e)
{
        _cleanup_free_ char *text = NULL;
        char path[64];
        int r;

        (void)snprintf(path, sizeof(path), "/sys/class/net/%s/address", interface);
        r = read_file(AT_FDCWD, path, 64, &text, NULL, e);
        if (r < 0)
                return r;
        if (sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &ret[0], &ret[1], &ret[2], &ret[3], &ret[4],
                   &ret[5]) != 6)
                return error_set(e, -EINVAL, "%s: a hardware address expected", path);
        return 0;
}

static int configure_inside(struct rtnl *inside, const uint8_t host_hardware[static 6],
                            struct in_addr address, struct error *e)
{
        static const struct in_addr any = {};
        struct in_addr next_hop = {.s_addr = htonl(NEXT_HOP)};
        struct link_found eth = {};
        int r;

        r = set_up(inside, 1, e, "lo of the group"); /* lo is always the first */
        if (r >= 0)
                r = find_inside(inside, &eth, e);
        if (r >= 0)
                r = add_address(inside, eth.index, address, e);
        if (r >= 0)
                r = set_up(inside, eth.index, e, INSIDE);
        if (r >= 0)
                r = add_neighbour(inside, eth.index, 0, next_hop, host_hardware, e);
        if (r >= 0)
                r = add_route(inside, eth.index, any, 0, next_hop, address, e);
        return r;
}

static int configure_host(struct rtnl *rtnl, const char *host_interface, const struct net_uplink *uplink,
                          struct in_addr address, struct error *e)
{
        static const struct in_addr none = {};
        unsigned index = if_nametoindex(host_interface);
        int r;

        if (index == 0)
                return error_errno(e, -errno, "%s", host_interface);
        r = write_kernel_file("/proc/sys/net/ipv4/ip_forward", "1", 1, e);
        if (r >= 0)
                r = set_up(rtnl, index, e, host_interface);
        if (r >= 0)
                r = add_route(rtnl, index, address, 32, none, uplink->address, e);
        if (r >= 0)
                r = add_neighbour(rtnl, uplink->index, NTF_PROXY, address, NULL, e);
        return r;
}

int net_create(const char *netns_path, const char *host_interface, const struct net_uplink *uplink,
               struct in_addr address, struct error *e)
{
        _cleanup_(rtnl_close) struct rtnl rtnl = {}, inside = {};
        _cleanup_close_ int netns = -EBADF;
        uint8_t hardware[6];
        int r;

        assert(strlen(host_interface) < IFNAMSIZ);
        r = net_remove(netns_path, host_interface, address, e);
        if (r >= 0)
                r = rtnl_open(&rtnl, e);
        if (r >= 0)
                r = make_namespace(netns_path, &inside, e);
        if (r < 0)
                return r;
        netns = open(netns_path, O_RDONLY | O_CLOEXEC);
        if (netns < 0)
                return error_errno(e, -errno, "%s", netns_path);
        r = make_pair(&rtnl, host_interface, netns, e);
        if (r >= 0)
                r = read_hardware_address(host_interface, hardware, e);
        if (r >= 0)
                r = configure_inside(&inside, hardware, address, e);
        if (r >= 0)
                r = configure_host(&rtnl, host_interface, uplink, address, e);
        if (r < 0)
                (void)net_remove(netns_path, host_interface, address, NULL);
        return r;
}

/* Every interface may answer for the address: the uplink may have changed since. */
static void remove_proxies(struct rtnl *rtnl, struct in_addr address)
{
        struct if_nameindex *all = if_nameindex();

        for (struct if_nameindex *i = all; i && i->if_index; i++) {
                struct nlmsghdr *n = rtnl_request(rtnl, RTM_DELNEIGH, 0);
                struct ndmsg *neighbour = mnl_nlmsg_put_extra_header(n, sizeof(*neighbour));

                neighbour->ndm_family = AF_INET;
                neighbour->ndm_ifindex = (int)i->if_index;
                neighbour->ndm_flags = NTF_PROXY;
                mnl_attr_put_u32(n, NDA_DST, address.s_addr);
                (void)rtnl_call(rtnl, n, NULL, "proxy neighbour"); /* most have none */
        }
        if (all)
                if_freenameindex(all);
}

int net_remove(const char *netns_path, const char *host_interface, struct in_addr address, struct error *e)
{
        _cleanup_(rtnl_close) struct rtnl rtnl = {};
        int r;

        r = rtnl_open(&rtnl, e);
        if (r < 0)
                return r;
        if (address.s_addr)
                remove_proxies(&rtnl, address);
        r = remove_link(&rtnl, host_interface);
        if (r < 0)
                return error_errno(e, r, "%s", host_interface);
        while (umount2(netns_path, MNT_DETACH) == 0)
                ;
        if (errno != EINVAL && errno != ENOENT)
                return error_errno(e, -errno, "%s", netns_path);
        if (unlink(netns_path) < 0 && errno != ENOENT)
                return error_errno(e, -errno, "%s", netns_path);
        return 0;
}
