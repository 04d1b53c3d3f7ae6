/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/group/definition.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/group/definition-parts.h"

#define TYPE "Microsoft.ContainerInstance/containerGroups"
#define CPU_MAX_MILLI UINT64_C(1024000)
#define MEMORY_MIN (4ull << 20)
#define MEMORY_MAX (64ull << 40)

static int read_ignored(struct reader *r, const struct node *n, void *target)
{
        return reader_expect(r, n, NODE_STRING);
}

bool definition_name_valid(const char *name)
{
        size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

        return n > 0 && n <= DEFINITION_NAME_MAX && name[n] == '\0' && name[0] != '-' && name[n - 1] != '-';
}

static int read_cpu(struct reader *r, const struct node *n, uint64_t *ret)
{
        uint64_t milli = 0;
        int k;

        k = reader_decimal(r, n, 3, &milli);
        if (k < 0)
                return k;
        if (milli < 10 || milli > CPU_MAX_MILLI)
                return reader_fail(r, n, "0.01 to %lu processors expected, found %.32s", CPU_MAX_MILLI / 1000,
                                   n->text);
        *ret = milli;
        return 0;
}

static int read_memory(struct reader *r, const struct node *n, uint64_t *ret)
{
        uint64_t milli = 0, bytes;
        int k;

        k = reader_decimal(r, n, 3, &milli);
        if (k < 0)
                return k;
        bytes = milli * (1ull << 30) / 1000;
        if (milli > (MEMORY_MAX >> 30) * 1000 || bytes < MEMORY_MIN)
                return reader_fail(r, n, "0.004 to %llu GB expected, found %.32s", MEMORY_MAX >> 30, n->text);
        *ret = bytes & ~4095ull;
        return 0;
}

static int read_request_cpu(struct reader *r, const struct node *n, void *target)
{
        return read_cpu(r, n, &((struct definition_container *)target)->cpu_request);
}

static int read_request_memory(struct reader *r, const struct node *n, void *target)
{
        return read_memory(r, n, &((struct definition_container *)target)->memory_request);
}

static int read_limit_cpu(struct reader *r, const struct node *n, void *target)
{
        return read_cpu(r, n, &((struct definition_container *)target)->cpu_limit);
}

static int read_limit_memory(struct reader *r, const struct node *n, void *target)
{
        return read_memory(r, n, &((struct definition_container *)target)->memory_limit);
}

static int read_requests(struct reader *r, const struct node *n, void *target)
{
        static const struct reader_field fields[] = {
                {"cpu", read_request_cpu, true}, {"memoryInGB", read_request_memory, true}, {}};
        static const char *const later[] = {"gpu", NULL};

        return reader_map(r, n, fields, later, target);
}

static int read_limits(struct reader *r, const struct node *n, void *target)
{
        static const struct reader_field fields[] = {
                {"cpu", read_limit_cpu, false}, {"memoryInGB", read_limit_memory, false}, {}};
        static const char *const later[] = {"gpu", NULL};

        return reader_map(r, n, fields, later, target);
}

static int read_resources(struct reader *r, const struct node *n, void *target)
{
        static const struct reader_field fields[] = {
                {"requests", read_requests, true}, {"limits", read_limits, false}, {}};
        static const char *const later[] = {NULL};
        struct definition_container *c = target;
        int k;

        k = reader_map(r, n, fields, later, target);
        if (k < 0)
                return k;
        c->cpu_limit = c->cpu_limit ?: c->cpu_request;
        c->memory_limit = c->memory_limit ?: c->memory_request;
        if (c->cpu_limit < c->cpu_request)
                return reader_fail(
                        r, n, "limits.cpu of at least requests.cpu, %lu.%03lu, expected, found %lu.%03lu",
                        c->cpu_request / 1000, c->cpu_request % 1000, c->cpu_limit / 1000,
                        c->cpu_limit % 1000);
        if (c->memory_limit < c->memory_request)
                return reader_fail(
                        r, n,
                        "limits.memoryInGB of at least requests.memoryInGB, %lu MiB, expected, found %lu MiB",
                        c->memory_request >> 20, c->memory_limit >> 20);
        return 0;
}

static int read_port_number(struct reader *r, const struct node *n, void *target)
{
        uint64_t port = 0;
        int k;

        k = reader_decimal(r, n, 0, &port);
        if (k < 0)
                return k;
        if (port < 1 || port > 65535)
                return reader_fail(r, n, "a port from 1 to 65535 expected, found %.32s", n->text);
        ((struct definition_port *)target)->port = (uint16_t)port;
        return 0;
}

static int read_protocol(struct reader *r, const struct node *n, void *target)
{
        int k;

        k = reader_expect(r, n, NODE_STRING);
        if (k < 0)
                return k;
        if (strcasecmp(n->text, "TCP") != 0 && strcasecmp(n->text, "UDP") != 0)
                return reader_fail(r, n, "TCP or UDP expected, found \"%.32s\"", n->text);
        ((struct definition_port *)target)->udp = strcasecmp(n->text, "UDP") == 0;
        return 0;
}

static int read_port(struct reader *r, const struct node *n, void *element)
{
        static const struct reader_field fields[] = {
                {"port", read_port_number, true}, {"protocol", read_protocol, false}, {}};
        static const char *const later[] = {NULL};

        return reader_map(r, n, fields, later, element);
}

static int read_container_ports(struct reader *r, const struct node *n, void *target)
{
        struct definition_container *c = target;

        return reader_list(r, n, DEFINITION_LIST_MAX, sizeof(*c->ports), read_port, (void **)&c->ports,
                           &c->n_ports);
}

static int read_variable_name(struct reader *r, const struct node *n, void *target)
{
        int k;

        k = reader_expect(r, n, NODE_STRING);
        if (k < 0)
                return k;
        if (n->text[0] == '\0' || strchr(n->text, '='))
                return reader_fail(r, n, "a name without \"=\" expected, found \"%.64s\"", n->text);
        return reader_string(r, n, &((struct definition_variable *)target)->name);
}

static int read_variable_value(struct reader *r, const struct node *n, void *target)
{
        return reader_string(r, n, &((struct definition_variable *)target)->value);
}

static int read_variable(struct reader *r, const struct node *n, void *element)
{
        static const struct reader_field fields[] = {
                {"name", read_variable_name, true}, {"value", read_variable_value, true}, {}};
        static const char *const later[] = {"secureValue", "secureValueReference", NULL};

        return reader_map(r, n, fields, later, element);
}

static int read_environment(struct reader *r, const struct node *n, void *target)
{
        struct definition_container *c = target;

        return reader_list(r, n, DEFINITION_LIST_MAX, sizeof(*c->environment), read_variable,
                           (void **)&c->environment, &c->n_environment);
}

static int read_argument(struct reader *r, const struct node *n, void *element)
{
        return reader_string(r, n, element);
}

static int read_command(struct reader *r, const struct node *n, void *target)
{
        struct definition_container *c = target;
        size_t count = 0;
        int k;

        k = reader_list(r, n, DEFINITION_LIST_MAX, sizeof(char *), read_argument, (void **)&c->command,
                        &count);
        if (k < 0)
                return k;
        if (count == 0)
                return reader_fail(r, n, "a program expected, found an empty list");
        return 0;
}

static int read_image(struct reader *r, const struct node *n, void *target)
{
        int k;

        k = reader_expect(r, n, NODE_STRING);
        if (k < 0)
                return k;
        if (n->text[0] == '\0' || strlen(n->text) > 255)
                return reader_fail(r, n, "the name of an image expected, found \"%.64s\"", n->text);
        for (const char *p = n->text; *p; p++)
                if (*p <= ' ' || *p >= 0x7f)
                        return reader_fail(r, n, "the name of an image expected, found \"%.64s\"", n->text);
        return reader_string(r, n, &((struct definition_container *)target)->image);
}

static int read_container_properties(struct reader *r, const struct node *n, void *target)
{
        static const struct reader_field fields[] = {{"image", read_image, true},
                                                     {"command", read_command, false},
                                                     {"ports", read_container_ports, false},
                                                     {"environmentVariables", read_environment, false},
                                                     {"resources", read_resources, true},
                                                     {"volumeMounts", definition_read_mounts, false},
                                                     {"livenessProbe", definition_read_liveness, false},
                                                     {"readinessProbe", definition_read_readiness, false},
                                                     {}};
        static const char *const later[] = {"configMap", "securityContext", "instanceView", NULL};

        return reader_map(r, n, fields, later, target);
}

static int read_container_name(struct reader *r, const struct node *n, void *target)
{
        return reader_name(r, n, &((struct definition_container *)target)->name);
}

static int read_container(struct reader *r, const struct node *n, void *element)
{
        static const struct reader_field fields[] = {
                {"name", read_container_name, true}, {"properties", read_container_properties, true}, {}};
        static const char *const later[] = {NULL};

        return reader_map(r, n, fields, later, element);
}

static int refuse_of_init(struct reader *r, const struct node *n, void *target)
{
        return reader_fail(
                r, n, "an init container has no ports and no probes, and the resources of the whole group");
}

static int read_init_properties(struct reader *r, const struct node *n, void *target)
{
        static const struct reader_field fields[] = {{"image", read_image, true},
                                                     {"command", read_command, false},
                                                     {"environmentVariables", read_environment, false},
                                                     {"volumeMounts", definition_read_mounts, false},
                                                     {"ports", refuse_of_init, false},
                                                     {"resources", refuse_of_init, false},
                                                     {"livenessProbe", refuse_of_init, false},
                                                     {"readinessProbe", refuse_of_init, false},
                                                     {}};
        static const char *const later[] = {"securityContext", "instanceView", NULL};

        return reader_map(r, n, fields, later, target);
}

static int read_init_container(struct reader *r, const struct node *n, void *element)
{
        static const struct reader_field fields[] = {
                {"name", read_container_name, true}, {"properties", read_init_properties, true}, {}};
        static const char *const later[] = {NULL};

        return reader_map(r, n, fields, later, element);
}

static void free_containers(struct definition_container *list, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                struct definition_container *c = &list[i];

                for (size_t k = 0; k < c->n_environment; k++) {
                        free(c->environment[k].name);
                        free(c->environment[k].value);
                }
                for (char **p = c->command; p && *p; p++)
                        free(*p);
                free((void *)c->command);
                free(c->environment);
                free(c->ports);
                definition_free_mounts(c->mounts, c->n_mounts);
                for (size_t k = 0; k < PROBES_; k++)
                        (void)definition_free_probe(c->probes[k]);
                free(c->image);
                free(c->name);
        }
        free(list);
}

/* n is the list that stands at `at` among all containers. */
static int check_names(struct reader *r, const struct node *n, const struct definition *d, size_t at)
{
        for (size_t i = at; i < at + n->n; i++)
                for (size_t j = 0; j < d->n_containers; j++)
                        if ((j < i || j >= at + n->n) &&
                            strcmp(d->containers[i].name, d->containers[j].name) == 0)
                                return reader_fail(r, n->children[i - at], "container \"%s\" is there twice",
                                                   d->containers[i].name);
        return 0;
}

/* Reads a list of containers and puts it where it belongs, whatever the order of the file: init containers
 * first. */
static int read_containers_at(struct reader *r, const struct node *n, struct definition *d, size_t at,
                              int (*read)(struct reader *r, const struct node *n, void *element))
{
        struct definition_container *list = NULL, *all;
        size_t count = 0, total;
        int k;

        k = reader_list(r, n, GROUP_CONTAINERS_MAX, sizeof(*list), read, (void **)&list, &count);
        total = d->n_containers + count;
        all = k >= 0 ? calloc(total + 1, sizeof(*all)) : NULL;
        if (!all) {
                free_containers(list, count);
                return k < 0 ? k : -ENOMEM;
        }
        for (size_t i = 0; i < total; i++)
                all[i] = i < at ? d->containers[i] : i < at + count ? list[i - at] : d->containers[i - count];
        free(list);
        free(d->containers);
        d->containers = all;
        d->n_containers = total;
        if (total > GROUP_CONTAINERS_MAX)
                return reader_fail(r, n, "at most %d containers with init containers expected, found %zu",
                                   GROUP_CONTAINERS_MAX, total);
        return check_names(r, n, d, at);
}

static int read_containers(struct reader *r, const struct node *n, void *target)
{
        struct definition *d = target;
        int k;

        k = read_containers_at(r, n, d, d->n_init, read_container);
        if (k >= 0 && d->n_containers == d->n_init)
                return reader_fail(r, n, "at least one container expected, found none");
        return k;
}

static int read_init_containers(struct reader *r, const struct node *n, void *target)
{
        struct definition *d = target;
        size_t before = d->n_containers;
        int k;

        k = read_containers_at(r, n, d, 0, read_init_container);
        d->n_init = d->n_containers - before;
        return k;
}

static int read_os_type(struct reader *r, const struct node *n, void *target)
{
        int k;

        k = reader_expect(r, n, NODE_STRING);
        if (k < 0)
                return k;
        return strcmp(n->text, "Linux") == 0 ? 0
                                             : reader_fail(r, n, "Linux expected, found \"%.32s\"", n->text);
}

static int read_sku(struct reader *r, const struct node *n, void *target)
{
        int k;

        k = reader_expect(r, n, NODE_STRING);
        if (k < 0)
                return k;
        if (strcmp(n->text, "Confidential") == 0 || strcmp(n->text, "Dedicated") == 0)
                return reader_fail(r, n, "not supported yet: %s", n->text);
        return strcmp(n->text, "Standard") == 0
                       ? 0
                       : reader_fail(r, n, "Standard expected, found \"%.32s\"", n->text);
}

static int read_policy(struct reader *r, const struct node *n, void *target)
{
        int k;

        k = reader_expect(r, n, NODE_STRING);
        if (k < 0)
                return k;
        if (restart_policy_from_name(n->text, &((struct definition *)target)->policy) < 0)
                return reader_fail(r, n, "Always, OnFailure or Never expected, found \"%.32s\"", n->text);
        return 0;
}

static int read_address_type(struct reader *r, const struct node *n, void *target)
{
        int k;

        k = reader_expect(r, n, NODE_STRING);
        if (k < 0)
                return k;
        if (strcmp(n->text, "Public") == 0)
                return reader_fail(r, n, "not supported yet: Public");
        return strcmp(n->text, "Private") == 0
                       ? 0
                       : reader_fail(r, n, "Private expected, found \"%.32s\"", n->text);
}

static int read_ip(struct reader *r, const struct node *n, void *target)
{
        struct definition *d = target;
        int k;

        k = reader_expect(r, n, NODE_STRING);
        if (k < 0)
                return k;
        if (inet_pton(AF_INET, n->text, &d->ip) != 1)
                return reader_fail(r, n, "an IPv4 address expected, found \"%.64s\"", n->text);
        d->has_ip = true;
        return 0;
}

static int read_address_ports(struct reader *r, const struct node *n, void *target)
{
        _cleanup_free_ struct definition_port *ports = NULL;
        struct definition *d = target;
        int k;

        k = reader_list(r, n, DEFINITION_PORTS_MAX, sizeof(*ports), read_port, (void **)&ports, &d->n_ports);
        if (k >= 0 && ports)
                memcpy(d->ports, ports, d->n_ports * sizeof(*ports));
        return k;
}

static int read_address(struct reader *r, const struct node *n, void *target)
{
        static const struct reader_field fields[] = {{"type", read_address_type, true},
                                                     {"ip", read_ip, false},
                                                     {"ports", read_address_ports, true},
                                                     {}};
        static const char *const later[] = {"dnsNameLabel", "autoGeneratedDomainNameLabelScope", "fqdn",
                                            NULL};

        ((struct definition *)target)->has_address = true;
        return reader_map(r, n, fields, later, target);
}

/* A port of the group must be one of a container, as in Azure: a typo there would publish nothing. */
static int check_ports(struct reader *r, const struct node *n, const struct definition *d)
{
        for (size_t i = 0; i < d->n_ports; i++) {
                bool found = false;

                for (size_t c = 0; c < d->n_containers; c++)
                        for (size_t p = 0; p < d->containers[c].n_ports; p++)
                                found = found || (d->containers[c].ports[p].port == d->ports[i].port &&
                                                  d->containers[c].ports[p].udp == d->ports[i].udp);
                if (!found)
                        return reader_fail(r, n, "ipAddress.ports: port %u/%s is not a port of any container",
                                           d->ports[i].port, d->ports[i].udp ? "UDP" : "TCP");
        }
        return 0;
}

void definition_total(const struct definition *d, uint64_t *ret_cpu, uint64_t *ret_memory)
{
        *ret_cpu = *ret_memory = 0;
        for (size_t i = d->n_init; i < d->n_containers; i++) {
                *ret_cpu += d->containers[i].cpu_request;
                *ret_memory += d->containers[i].memory_request;
        }
}

/* Azure: no limit may exceed what the whole group requests, all of which an init container has while it runs.
 */
static int apply_limits(struct reader *r, const struct node *n, struct definition *d)
{
        uint64_t cpu, memory;

        definition_total(d, &cpu, &memory);
        for (size_t i = 0; i < d->n_init; i++) {
                d->containers[i].cpu_request = d->containers[i].cpu_limit = cpu;
                d->containers[i].memory_request = d->containers[i].memory_limit = memory;
        }
        for (size_t i = d->n_init; i < d->n_containers; i++) {
                const struct definition_container *c = &d->containers[i];

                if (c->cpu_limit > cpu)
                        return reader_fail(
                                r, n,
                                "container \"%s\": limits.cpu of at most the group's %lu.%03lu expected, "
                                "found "
                                "%lu.%03lu",
                                c->name, cpu / 1000, cpu % 1000, c->cpu_limit / 1000, c->cpu_limit % 1000);
                if (c->memory_limit > memory)
                        return reader_fail(
                                r, n,
                                "container \"%s\": limits.memoryInGB of at most the group's %lu MiB "
                                "expected, "
                                "found %lu MiB",
                                c->name, memory >> 20, c->memory_limit >> 20);
        }
        return 0;
}

/* It becomes a part of a label, so it must have no colon. */
static int read_selinux_type(struct reader *r, const struct node *n, void *target)
{
        size_t length;
        int k;

        k = reader_expect(r, n, NODE_STRING);
        if (k < 0)
                return k;
        length = strspn(n->text, "abcdefghijklmnopqrstuvwxyz0123456789_");
        if (length == 0 || length > DEFINITION_TYPE_MAX || n->text[length] != '\0')
                return reader_fail(
                        r, n, "a SELinux type of 1 to %d of a-z, 0-9 and \"_\" expected, found \"%.80s\"",
                        DEFINITION_TYPE_MAX, n->text);
        return reader_string(r, n, &((struct definition *)target)->selinux_type);
}

static int read_selinux_options(struct reader *r, const struct node *n, void *target)
{
        static const struct reader_field fields[] = {{"type", read_selinux_type, true}, {}};
        static const char *const later[] = {"level", "role", "user", NULL};

        return reader_map(r, n, fields, later, target);
}

static int read_security_context(struct reader *r, const struct node *n, void *target)
{
        static const struct reader_field fields[] = {{"seLinuxOptions", read_selinux_options, false}, {}};
        static const char *const later[] = {"runAsUser",          "runAsGroup",     "runAsNonRoot", "fsGroup",
                                            "supplementalGroups", "seccompProfile", "sysctls",      NULL};

        return reader_map(r, n, fields, later, target);
}

static int read_properties(struct reader *r, const struct node *n, void *target)
{
        static const struct reader_field fields[] = {{"containers", read_containers, true},
                                                     {"initContainers", read_init_containers, false},
                                                     {"volumes", definition_read_volumes, false},
                                                     {"osType", read_os_type, false},
                                                     {"restartPolicy", read_policy, false},
                                                     {"ipAddress", read_address, false},
                                                     {"sku", read_sku, false},
                                                     {"securityContext", read_security_context, false},
                                                     {}};
        static const char *const later[] = {"imageRegistryCredentials",
                                            "diagnostics",
                                            "dnsConfig",
                                            "subnetIds",
                                            "priority",
                                            "encryptionProperties",
                                            "confidentialComputeProperties",
                                            "extensions",
                                            "identityAcls",
                                            "containerGroupProfile",
                                            "standbyPoolProfile",
                                            "instanceView",
                                            "stretch",
                                            NULL};
        int k;

        k = reader_map(r, n, fields, later, target);
        if (k >= 0)
                k = check_ports(r, n, target);
        if (k >= 0)
                k = apply_limits(r, n, target);
        if (k >= 0)
                k = definition_check_mounts(r, n, target);
        return k;
}

static int read_group_name(struct reader *r, const struct node *n, void *target)
{
        return reader_name(r, n, &((struct definition *)target)->name);
}

static int read_type(struct reader *r, const struct node *n, void *target)
{
        int k;

        k = reader_expect(r, n, NODE_STRING);
        if (k < 0)
                return k;
        return strcasecmp(n->text, TYPE) == 0 ? 0
                                              : reader_fail(r, n, TYPE " expected, found \"%.80s\"", n->text);
}

static int read_group(struct reader *r, const struct node *n, struct definition **ret)
{
        static const struct reader_field fields[] = {
                {"name", read_group_name, true},     {"properties", read_properties, true},
                {"apiVersion", read_ignored, false}, {"location", read_ignored, false},
                {"type", read_type, false},          {}};
        static const char *const later[] = {"tags", "identity", "zones", NULL};
        _cleanup_(definition_free_ptr) struct definition *d = calloc(1, sizeof(*d));
        int k;

        if (!d)
                return -ENOMEM;
        k = reader_map(r, n, fields, later, d);
        if (k >= 0)
                *ret = TAKE_PTR(d);
        return k;
}

int definition_parse(const char *name, const char *text, size_t size, struct definition **ret,
                     struct error *e)
{
        _cleanup_(node_free_ptr) struct node *root = NULL;
        struct reader r = {.name = name, .error = e};
        int k;

        k = node_parse(name, text, size, &root, e);
        return k < 0 ? k : read_group(&r, root, ret);
}

int definition_from_json(sd_json_variant *v, struct definition **ret, struct error *e)
{
        _cleanup_(node_free_ptr) struct node *root = NULL;
        struct reader r = {.name = "definition", .error = e};
        int k;

        k = node_from_json(v, &root, e);
        return k < 0 ? error_prefix(e, k, "definition") : read_group(&r, root, ret);
}

struct definition *definition_free(struct definition *d)
{
        if (!d)
                return NULL;
        free_containers(d->containers, d->n_containers);
        definition_free_volumes(d->volumes, d->n_volumes);
        free(d->selinux_type);
        free(d->name);
        free(d);
        return NULL;
}
