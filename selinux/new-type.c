/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The CIL of a type for containers that need more than container_t has. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "selinux/internal.h"

#define NAME_MAX_LENGTH 32
#define LETTERS "abcdefghijklmnopqrstuvwxyz"

static int check_name(const char *what, const char *name, const char *bytes, struct error *e)
{
        size_t n = strlen(name);

        if (n == 0 || n > NAME_MAX_LENGTH || strspn(name, bytes) != n || !strchr(LETTERS, name[0]))
                return error_set(e, -EINVAL,
                                 "%s \"%.40s\": up to %d small letters, digits and others of \"%s\" "
                                 "expected, a letter "
                                 "first",
                                 what, name, NAME_MAX_LENGTH, bytes + strlen(LETTERS));
        return 0;
}

/* The type that the policy gives to the device, NULL when it has none of its own. */
static const char *device_type(const struct selinux_policy *p, const char *device)
{
        for (size_t i = 0; i < p->source.n_statements; i++) {
                const struct sexpr *text = p->source.statements[i].text;

                if (sexpr_is(text, "typetransition") && sexpr_same(text, 1, "kernel_t") &&
                    sexpr_same(text, 3, "chr_file") && sexpr_same(text, 4, device))
                        return sexpr_atom(text, 5);
        }
        return NULL;
}

/* Statements that osguard's labels are made from stand on a line of their own (selinux/compile). */
static void write_device(FILE *f, const struct selinux_policy *p, const char *name, const char *device)
{
        const char *known = device_type(p, device);

        if (known) {
                (void)fprintf(f, "(allow %s_t %s (devices (use)))\n", name, known);
                return;
        }
        (void)fprintf(f, "; /dev/%s\n(type %s_%s_t)\n(typeattributeset device_o (%s_%s_t))\n", device, name,
                      device, name, device);
        (void)fprintf(f, "(call device (\"%s\" %s_%s_t))\n(allow %s_t %s_%s_t (devices (use)))\n", device,
                      name, device, name, name, device);
}

static void write_ports(FILE *f, const struct selinux_type_wishes *w)
{
        static const char *const protocols[] = {"tcp", "udp"};

        if (w->n_ports == 0)
                return;
        (void)fprintf(
                f, "; Nobody else listens on these ports.\n(type %s_port_t)\n(roletype object_r %s_port_t)\n",
                w->name, w->name);
        for (size_t i = 0; i < w->n_ports; i++)
                for (size_t j = 0; j < ELEMENTSOF(protocols); j++)
                        (void)fprintf(f, "(portcon %s %u (system_u object_r %s_port_t object))\n",
                                      protocols[j], w->ports[i], w->name);
        (void)fprintf(f,
                      "(allow network_s %s_port_t (tcp_socket (name_connect)))\n"
                      "(allow %s_t %s_port_t (tcp_socket (name_bind)))\n"
                      "(allow %s_t %s_port_t (udp_socket (name_bind)))\n",
                      w->name, w->name, w->name, w->name, w->name);
}

static void write_type(FILE *f, const struct selinux_policy *p, const struct selinux_type_wishes *w)
{
        (void)fprintf(f,
                      "; Containers of type %s_t: what container_t may, and what follows.\n"
                      "(type %s_t)\n(typeattributeset container_s (%s_t))\n",
                      w->name, w->name, w->name);
        for (size_t i = 0; i < w->n_devices; i++)
                write_device(f, p, w->name, w->devices[i]);
        write_ports(f, w);
        for (size_t i = 0; i < w->n_capabilities; i++)
                (void)fprintf(f, "(allow %s_t self (capability (%s)))\n", w->name, w->capabilities[i]);
        if (w->execmem)
                (void)fprintf(f,
                              "(typeattributeset execmem_s (%s_t))\n(allow %s_t self (process (execmem)))\n",
                              w->name, w->name);
}

static int check_wishes(const struct selinux_type_wishes *w, struct error *e)
{
        int r = check_name("name", w->name, LETTERS "0123456789_", e);

        for (size_t i = 0; r >= 0 && i < w->n_devices; i++)
                r = check_name("device", w->devices[i], LETTERS "0123456789_-", e);
        for (size_t i = 0; r >= 0 && i < w->n_capabilities; i++)
                r = check_name("capability", w->capabilities[i], LETTERS "_", e);
        for (size_t i = 0; r >= 0 && i < w->n_ports; i++)
                if (w->ports[i] == 0 || w->ports[i] > UINT16_MAX)
                        r = error_set(e, -EINVAL, "port: 1 to %d expected, found %u", UINT16_MAX,
                                      w->ports[i]);
        return r;
}

int selinux_policy_new_type(const char *directory, const struct selinux_type_wishes *w, char **ret,
                            struct error *e)
{
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *p = NULL, *extended = NULL;
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        FILE *f;
        int r;

        r = check_wishes(w, e);
        if (r >= 0)
                r = selinux_policy_compile(directory, &p, e);
        if (r < 0)
                return r;
        f = open_memstream(&text, &size);
        if (!f)
                return error_errno(e, -ENOMEM, "new type");
        write_type(f, p, w);
        if (fclose(f) != 0)
                return error_errno(e, -ENOMEM, "new type");
        r = selinux_policy_compile_with(directory, "new-type", text, &extended, e);
        if (r < 0)
                return r == -EINVAL ? error_prefix(e, -EPERM, "the policy does not take this type") : r;
        *ret = TAKE_PTR(text);
        return 0;
}
