/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/net/rtnl.h"

#include <errno.h>

int rtnl_open(struct rtnl *rtnl, struct error *e)
{
        rtnl->sequence = 0;
        rtnl->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
        if (!rtnl->socket)
                return error_errno(e, -errno, "rtnetlink");
        if (mnl_socket_bind(rtnl->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
                int r = -errno;

                rtnl_close(rtnl);
                return error_errno(e, r, "rtnetlink");
        }
        return 0;
}

void rtnl_close(struct rtnl *rtnl)
{
        if (rtnl->socket)
                (void)mnl_socket_close(rtnl->socket);
        rtnl->socket = NULL;
}

struct nlmsghdr *rtnl_request(struct rtnl *rtnl, uint16_t type, uint16_t flags)
{
        struct nlmsghdr *n = mnl_nlmsg_put_header(rtnl->buffer);

        n->nlmsg_type = type;
        n->nlmsg_flags = NLM_F_REQUEST | flags;
        n->nlmsg_seq = ++rtnl->sequence;
        return n;
}

static int receive(struct rtnl *rtnl, mnl_cb_t callback, void *userdata)
{
        unsigned port = mnl_socket_get_portid(rtnl->socket);
        char buffer[16384];

        for (;;) {
                ssize_t n = mnl_socket_recvfrom(rtnl->socket, buffer, sizeof(buffer));
                int r;

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                r = mnl_cb_run(buffer, (size_t)n, rtnl->sequence, port, callback, userdata);
                if (r < 0)
                        return -errno;
                if (r == MNL_CB_STOP)
                        return 0;
        }
}

int rtnl_call(struct rtnl *rtnl, struct nlmsghdr *request, struct error *e, const char *what)
{
        int r = 0;

        request->nlmsg_flags |= NLM_F_ACK;
        if (mnl_socket_sendto(rtnl->socket, request, request->nlmsg_len) < 0)
                r = -errno;
        if (r >= 0)
                r = receive(rtnl, NULL, NULL);
        return r < 0 ? error_errno(e, r, "%s", what) : 0;
}

int rtnl_dump(struct rtnl *rtnl, struct nlmsghdr *request, mnl_cb_t callback, void *userdata, struct error *e,
              const char *what)
{
        int r = 0;

        request->nlmsg_flags |= NLM_F_DUMP;
        if (mnl_socket_sendto(rtnl->socket, request, request->nlmsg_len) < 0)
                r = -errno;
        if (r >= 0)
                r = receive(rtnl, callback, userdata);
        if (r == -EINTR) /* the tables changed while they were read */
                r = -EAGAIN;
        return r < 0 ? error_errno(e, r, "%s", what) : 0;
}
