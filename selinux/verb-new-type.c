/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "selinux/program.h"

static int parse_ports(unsigned ports[static ELEMENTSOF(options.ports.items)], struct error *e)
{
        for (size_t i = 0; i < options.ports.n; i++) {
                char *end;
                unsigned long n = strtoul(options.ports.items[i], &end, 10);

                if (*end || end == options.ports.items[i] || n > UINT16_MAX)
                        return error_set(e, -EINVAL, "--port: 1 to %d expected, found \"%s\"", UINT16_MAX,
                                         options.ports.items[i]);
                ports[i] = (unsigned)n;
        }
        return 0;
}

static int write_out(const char *text, struct error *e)
{
        if (options.output)
                return write_file_new(AT_FDCWD, options.output, text, strlen(text), 0644, e);
        return fputs(text, stdout) < 0 ? error_errno(e, -EIO, "standard output") : 0;
}

int run_new_type(int argc, char **argv)
{
        unsigned ports[ELEMENTSOF(options.ports.items)];
        const struct selinux_type_wishes wishes = {.name = argv[1],
                                                   .devices = options.devices.items,
                                                   .n_devices = options.devices.n,
                                                   .ports = ports,
                                                   .n_ports = options.ports.n,
                                                   .capabilities = options.capabilities.items,
                                                   .n_capabilities = options.capabilities.n,
                                                   .execmem = options.execmem};
        _cleanup_free_ char *text = NULL;
        struct error e = {};
        int r;

        (void)argc;
        r = parse_ports(ports, &e);
        if (r >= 0)
                r = selinux_policy_new_type(argv[0], &wishes, &text, &e);
        if (r == -EPERM) {
                (void)log_failure(r, &e);
                return EXIT_ANSWER_IS_NO;
        }
        if (r >= 0)
                r = write_out(text, &e);
        return r < 0 ? could_not_try(r, &e) : 0;
}
