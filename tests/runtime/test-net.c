/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/process.h"
#include "runtime/net/net.h"

static struct in_addr address_of(const char *text)
{
        struct in_addr a;

        cr_assert_eq(inet_pton(AF_INET, text, &a), 1);
        return a;
}

static void command(const char *line)
{
        char *argv[] = {(char *)"sh", (char *)"-c", (char *)line, NULL};
        struct error e = {};

        cr_assert_eq(process_check(argv, NULL, &e), 0, "%s: %s", line, e.message);
}

static int own_network = -1;

/* The test runner's own sockets must find each other at the end. */
static void leave_host(void)
{
        if (own_network >= 0)
                cr_assert_eq(setns(own_network, CLONE_NEWNET), 0);
}

/* A host of its own: a network namespace with an "uplink" whose other end is the outside world, in a second
 * one. */
static void make_host(void)
{
        own_network = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
        cr_assert_eq(unshare(CLONE_NEWNET | CLONE_NEWNS), 0, "needs root");
        cr_assert_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
        cr_assert_eq(mount("sysfs", "/sys", "sysfs", 0, NULL), 0);
        command("mkdir -p /run/netns && ip netns add outside && ip link set lo up && ip link add up0 type "
                "veth peer name out0 netns outside "
                "&& ip addr add 10.9.0.5/24 dev up0 && ip link set up0 up && ip route add default via "
                "10.9.0.1 && "
                "ip -n outside addr add 10.9.0.1/24 dev out0 && ip -n outside link set out0 up");
}

static const char *const path = "/run/test-net-group";

Test(net, a_group_is_reached_from_outside, .timeout = 60, .fini = leave_host)
{
        struct net_uplink u = {};
        struct in_addr address;
        struct error e = {};

        make_host();
        cr_assert_eq(net_find_uplink(&u, &e), 0, "%s", e.message);
        cr_assert_str_eq(u.name, "up0");
        cr_assert_eq(u.prefix, 24);
        cr_assert_eq(u.gateway.s_addr, address_of("10.9.0.1").s_addr);
        cr_assert_eq(net_choose_address(&u, NULL, 0, NULL, &address, &e), 0);
        cr_assert_eq(net_create(path, "hf-test", &u, address, &e), 0, "%s", e.message);
        cr_assert_eq(net_create(path, "hf-test", &u, address, &e), 0, "made again: %s", e.message);
        command("nsenter --net=/run/test-net-group ip -o link show lo | grep -q LOOPBACK,UP");
        command("nsenter --net=/run/test-net-group ip -o addr show eth0 | grep -q 10.9.0.254/32");
        command("nsenter --net=/run/test-net-group sh -c 'echo hello | socat - TCP-LISTEN:80' & "
                "sleep 0.5; ip netns exec outside socat -T5 - TCP:10.9.0.254:80 </dev/null | grep -q hello");
        command("ip netns exec outside sh -c 'echo back | socat - TCP-LISTEN:81' & "
                "sleep 0.5; nsenter --net=/run/test-net-group socat -T5 - TCP:10.9.0.1:81 </dev/null | grep "
                "-q back");
        cr_assert_eq(net_remove(path, "hf-test", address, &e), 0, "%s", e.message);
        cr_assert_eq(net_remove(path, "hf-test", address, &e), 0, "removed again: %s", e.message);
        cr_assert_eq(file_exists(AT_FDCWD, path), 0);
        command("! ip link show hf-test 2>/dev/null && ! ip neigh show proxy | grep -q . && ! ip route | "
                "grep -q 10.9.0.254");
        command("ip netns del outside");
}

Test(net, no_address_yet, .timeout = 20, .fini = leave_host)
{
        struct net_uplink u = {};
        struct error e = {};

        own_network = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
        cr_assert_eq(unshare(CLONE_NEWNET), 0);
        cr_assert_eq(net_find_uplink(&u, &e), -EAGAIN);
        cr_assert_not_null(strstr(e.message, "an uplink with an IPv4 address expected"));
}
