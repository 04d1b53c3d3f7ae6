/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>

#include "runtime/net/net.h"

static struct in_addr address_of(const char *text)
{
        struct in_addr a;

        cr_assert_eq(inet_pton(AF_INET, text, &a), 1);
        return a;
}

static struct net_uplink uplink_of(const char *address, unsigned prefix, const char *gateway)
{
        return (struct net_uplink){.index = 2,
                                   .name = "eth0",
                                   .address = address_of(address),
                                   .prefix = prefix,
                                   .gateway = address_of(gateway)};
}

Test(net, addresses_come_from_the_top, .timeout = 20)
{
        struct net_uplink u = uplink_of("10.0.2.15", 24, "10.0.2.2");
        struct in_addr used[] = {address_of("10.0.2.254"), address_of("10.0.2.253")}, a, wanted;

        cr_assert_eq(net_choose_address(&u, NULL, 0, NULL, &a, NULL), 0);
        cr_assert_eq(a.s_addr, used[0].s_addr);
        cr_assert_eq(net_choose_address(&u, used, 2, NULL, &a, NULL), 0);
        cr_assert_eq(a.s_addr, address_of("10.0.2.252").s_addr);
        wanted = address_of("10.0.2.253");
        cr_assert_eq(net_choose_address(&u, used, 2, &wanted, &a, NULL), -EADDRINUSE);
        wanted = address_of("10.0.2.2");
        cr_assert_eq(net_choose_address(&u, NULL, 0, &wanted, &a, NULL), -EADDRINUSE, "the gateway's");
        wanted = address_of("10.0.2.15");
        cr_assert_eq(net_choose_address(&u, NULL, 0, &wanted, &a, NULL), -EADDRINUSE, "the uplink's");
        wanted = address_of("10.0.3.1");
        cr_assert_eq(net_choose_address(&u, NULL, 0, &wanted, &a, NULL), -EADDRNOTAVAIL);
        wanted = address_of("10.0.2.255");
        cr_assert_eq(net_choose_address(&u, NULL, 0, &wanted, &a, NULL), -EADDRNOTAVAIL,
                     "the broadcast address");
        u = uplink_of("192.168.1.1", 30, "192.168.1.2");
        cr_assert_eq(net_choose_address(&u, NULL, 0, NULL, &a, NULL), -EADDRINUSE, "full");
        u = uplink_of("192.168.1.1", 32, "0.0.0.0");
        cr_assert_eq(net_choose_address(&u, NULL, 0, NULL, &a, NULL), -EADDRNOTAVAIL);
}
