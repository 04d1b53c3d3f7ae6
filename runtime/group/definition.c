/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/group/definition.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/group/node.h"

#define TYPE "Microsoft.ContainerInstance/containerGroups"
#define CPU_MAX_MILLI UINT64_C(1024000)
#define MEMORY_MIN (4ull << 20)
#define MEMORY_MAX (64ull << 40)
#define STRING_MAX 32768

/* Where the reader is, for messages. */
struct reader {
        const char *name;
        char path[256];
        struct error *error;
};

/* One property of a map. */
struct field {
        const char *name;
        int (*read)(struct reader *r, const struct node *n, void *target);
        bool required;
};

static int fail(struct reader *r, const struct node *n, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

static int fail(struct reader *r, const struct node *n, const char *format, ...)
{
        char text[512];
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        if (n->line > 0)
                return error_set(r->error, -EINVAL, "%s:%u:%u: %s%s%s", r->name, n->line, n->column, r->path,
                                 r->path[0] ? ": " : "", text);
        return error_set(r->error, -EINVAL, "%s: %s%s%s", r->name, r->path, r->path[0] ? ": " : "", text);
}

static size_t enter(struct reader *r, const char *name, size_t index)
{
        size_t length = strlen(r->path), room = sizeof(r->path) - length;

        if (name)
                (void)snprintf(r->path + length, room, "%s%.64s", length > 0 ? "." : "", name);
        else
                (void)snprintf(r->path + length, room, "[%zu]", index);
        return length;
}

static void leave(struct reader *r, size_t length)
{
        r->path[length] = '\0';
}

static int expect(struct reader *r, const struct node *n, enum node_type type)
{
        if (n->type == type)
                return 0;
        if (type == NODE_STRING && (n->type == NODE_NUMBER || n->type == NODE_BOOLEAN))
                return fail(r, n, "a string expected, found %s %.32s: put it in quotes",
                            n->type == NODE_NUMBER ? "the number" : "the truth value", n->text);
        return fail(r, n, "%s expected, found %s", node_type_name(type), node_type_name(n->type));
}

/* Levenshtein's distance, for names short enough to be meant. */
static size_t distance(const char *a, const char *b)
{
        size_t row[64], n = strlen(b);

        if (n + 1 > ELEMENTSOF(row) || strlen(a) > 64)
                return SIZE_MAX;
        for (size_t j = 0; j <= n; j++)
                row[j] = j;
        for (size_t i = 0; a[i]; i++) {
                size_t diagonal = row[0];

                row[0] = i + 1;
                for (size_t j = 0; j < n; j++) {
                        size_t best = diagonal + (a[i] != b[j]);

                        diagonal = row[j + 1];
                        if (row[j] + 1 < best)
                                best = row[j] + 1;
                        if (row[j + 1] + 1 < best)
                                best = row[j + 1] + 1;
                        row[j + 1] = best;
                }
        }
        return row[n];
}

static int unknown(struct reader *r, const struct node *n, const struct field *fields)
{
        const char *nearest = NULL;
        size_t best = SIZE_MAX;

        for (const struct field *f = fields; f->name; f++) {
                size_t d = distance(n->key, f->name);

                if (d < best) {
                        best = d;
                        nearest = f->name;
                }
        }
        if (nearest && best <= 1 + strlen(nearest) / 3)
                return fail(r, n, "unknown property \"%.64s\", did you mean \"%s\"?", n->key, nearest);
        return fail(r, n, "unknown property \"%.64s\"", n->key);
}

/* Reads a map by its table. `later` has Azure's other names of this place, ends with NULL. */
static int read_map(struct reader *r, const struct node *n, const struct field *fields,
                    const char *const *later, void *target)
{
        int k;

        k = expect(r, n, NODE_MAP);
        if (k < 0)
                return k;
        for (size_t i = 0; i < n->n; i++) {
                const struct node *child = n->children[i];
                const struct field *f = fields;
                size_t length;

                while (f->name && strcmp(f->name, child->key) != 0)
                        f++;
                for (const char *const *l = later; !f->name && *l; l++)
                        if (strcmp(*l, child->key) == 0)
                                return fail(r, child, "not supported yet: %s", *l);
                if (!f->name)
                        return unknown(r, child, fields);
                length = enter(r, f->name, 0);
                k = f->read(r, child, target);
                if (k < 0)
                        return k;
                leave(r, length);
        }
        for (const struct field *f = fields; f->name; f++)
                if (f->required && !node_get(n, f->name))
                        return fail(r, n, "property \"%s\" expected, not found", f->name);
        return 0;
}

static int read_string(struct reader *r, const struct node *n, char **ret)
{
        int k;

        k = expect(r, n, NODE_STRING);
        if (k < 0)
                return k;
        if (strlen(n->text) > STRING_MAX)
                return fail(r, n, "at most %d bytes expected, found %zu", STRING_MAX, strlen(n->text));
        *ret = strdup(n->text);
        return *ret ? 0 : -ENOMEM;
}

static int read_ignored(struct reader *r, const struct node *n, void *target)
{
        return expect(r, n, NODE_STRING);
}

/* A list whose elements have the size given: allocates, then reads each. */
static int read_list(struct reader *r, const struct node *n, size_t max, size_t size,
                     int (*read)(struct reader *r, const struct node *n, void *element), void **ret,
                     size_t *ret_n)
{
        int k;

        k = expect(r, n, NODE_LIST);
        if (k < 0)
                return k;
        if (n->n > max)
                return fail(r, n, "at most %zu expected, found %zu", max, n->n);
        *ret = calloc(n->n + 1, size);
        if (!*ret)
                return -ENOMEM;
        for (size_t i = 0; i < n->n; i++) {
                size_t length = enter(r, NULL, i);

                *ret_n = i + 1;
                k = read(r, n->children[i], (char *)*ret + i * size);
                if (k < 0)
                        return k;
                leave(r, length);
        }
        return 0;
}

bool definition_name_valid(const char *name)
{
        size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

        return n > 0 && n <= DEFINITION_NAME_MAX && name[n] == '\0' && name[0] != '-' && name[n - 1] != '-';
}

static int read_name(struct reader *r, const struct node *n, char **ret)
{
        int k;

        k = expect(r, n, NODE_STRING);
        if (k < 0)
                return k;
        if (!definition_name_valid(n->text))
                return fail(r, n, "1 to %d of a-z, 0-9 and inner \"-\" expected, found \"%.80s\"",
                            DEFINITION_NAME_MAX, n->text);
        return read_string(r, n, ret);
}

/* A decimal number times 10^places, exactly: "0.25" with 3 places is 250. */
static int read_decimal(struct reader *r, const struct node *n, unsigned places, uint64_t *ret)
{
        uint64_t value = 0;
        const char *p;
        int k;

        k = expect(r, n, NODE_NUMBER);
        if (k < 0)
                return k;
        p = n->text + (n->text[0] == '+');
        if (*p == '-')
                return fail(r, n, "a number above 0 expected, found %.32s", n->text);
        for (; *p >= '0' && *p <= '9' && value < 1000000000; p++)
                value = value * 10 + (uint64_t)(*p - '0');
        p += *p == '.';
        for (unsigned i = 0; i < places; i++) {
                value *= 10;
                if (*p >= '0' && *p <= '9')
                        value += (uint64_t)(*p++ - '0');
        }
        p += strspn(p, "0");
        if (*p != '\0')
                return fail(r, n, "a number with at most %u decimal places expected, found %.32s", places,
                            n->text);
        *ret = value;
        return 0;
}

static int read_cpu(struct reader *r, const struct node *n, uint64_t *ret)
{
        uint64_t milli = 0;
        int k;

        k = read_decimal(r, n, 3, &milli);
        if (k < 0)
                return k;
        if (milli < 10 || milli > CPU_MAX_MILLI)
                return fail(r, n, "0.01 to %lu processors expected, found %.32s", CPU_MAX_MILLI / 1000,
                            n->text);
        *ret = milli;
        return 0;
}

static int read_memory(struct reader *r, const struct node *n, uint64_t *ret)
{
        uint64_t milli = 0, bytes;
        int k;

        k = read_decimal(r, n, 3, &milli);
        if (k < 0)
                return k;
        bytes = milli * (1ull << 30) / 1000;
        if (milli > (MEMORY_MAX >> 30) * 1000 || bytes < MEMORY_MIN)
                return fail(r, n, "0.004 to %llu GB expected, found %.32s", MEMORY_MAX >> 30, n->text);
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
        static const struct field fields[] = {
                {"cpu", read_request_cpu, true}, {"memoryInGB", read_request_memory, true}, {}};
        static const char *const later[] = {"gpu", NULL};

        return read_map(r, n, fields, later, target);
}

static int read_limits(struct reader *r, const struct node *n, void *target)
{
        static const struct field fields[] = {
                {"cpu", read_limit_cpu, false}, {"memoryInGB", read_limit_memory, false}, {}};
        static const char *const later[] = {"gpu", NULL};

        return read_map(r, n, fields, later, target);
}

static int read_resources(struct reader *r, const struct node *n, void *target)
{
        static const struct field fields[] = {
                {"requests", read_requests, true}, {"limits", read_limits, false}, {}};
        static const char *const later[] = {NULL};
        struct definition_container *c = target;
        int k;

        k = read_map(r, n, fields, later, target);
        if (k < 0)
                return k;
        c->cpu_limit = c->cpu_limit ?: c->cpu_request;
        c->memory_limit = c->memory_limit ?: c->memory_request;
        if (c->cpu_limit < c->cpu_request)
                return fail(r, n, "limits.cpu of at least requests.cpu, %lu.%03lu, expected, found %lu.%03lu",
                            c->cpu_request / 1000, c->cpu_request % 1000, c->cpu_limit / 1000,
                            c->cpu_limit % 1000);
        if (c->memory_limit < c->memory_request)
                return fail(
                        r, n,
                        "limits.memoryInGB of at least requests.memoryInGB, %lu MiB, expected, found %lu MiB",
                        c->memory_request >> 20, c->memory_limit >> 20);
        return 0;
}

static int read_port_number(struct reader *r, const struct node *n, void *target)
{
        uint64_t port = 0;
        int k;

        k = read_decimal(r, n, 0, &port);
        if (k < 0)
                return k;
        if (port < 1 || port > 65535)
                return fail(r, n, "a port from 1 to 65535 expected, found %.32s", n->text);
        ((struct definition_port *)target)->port = (uint16_t)port;
        return 0;
}

static int read_protocol(struct reader *r, const struct node *n, void *target)
{
        int k;

        k = expect(r, n, NODE_STRING);
        if (k < 0)
                return k;
        if (strcasecmp(n->text, "TCP") != 0 && strcasecmp(n->text, "UDP") != 0)
                return fail(r, n, "TCP or UDP expected, found \"%.32s\"", n->text);
        ((struct definition_port *)target)->udp = strcasecmp(n->text, "UDP") == 0;
        return 0;
}

static int read_port(struct reader *r, const struct node *n, void *element)
{
        static const struct field fields[] = {
                {"port", read_port_number, true}, {"protocol", read_protocol, false}, {}};
        static const char *const later[] = {NULL};

        return read_map(r, n, fields, later, element);
}

static int read_container_ports(struct reader *r, const struct node *n, void *target)
{
        struct definition_container *c = target;

        return read_list(r, n, DEFINITION_LIST_MAX, sizeof(*c->ports), read_port, (void **)&c->ports,
                         &c->n_ports);
}

static int read_variable_name(struct reader *r, const struct node *n, void *target)
{
        int k;

        k = expect(r, n, NODE_STRING);
        if (k < 0)
                return k;
        if (n->text[0] == '\0' || strchr(n->text, '='))
                return fail(r, n, "a name without \"=\" expected, found \"%.64s\"", n->text);
        return read_string(r, n, &((struct definition_variable *)target)->name);
}

static int read_variable_value(struct reader *r, const struct node *n, void *target)
{
        return read_string(r, n, &((struct definition_variable *)target)->value);
}

static int read_variable(struct reader *r, const struct node *n, void *element)
{
        static const struct field fields[] = {
                {"name", read_variable_name, true}, {"value", read_variable_value, true}, {}};
        static const char *const later[] = {"secureValue", "secureValueReference", NULL};

        return read_map(r, n, fields, later, element);
}

static int read_environment(struct reader *r, const struct node *n, void *target)
{
        struct definition_container *c = target;

        return read_list(r, n, DEFINITION_LIST_MAX, sizeof(*c->environment), read_variable,
                         (void **)&c->environment, &c->n_environment);
}

static int read_argument(struct reader *r, const struct node *n, void *element)
{
        return read_string(r, n, element);
}

static int read_command(struct reader *r, const struct node *n, void *target)
{
        struct definition_container *c = target;
        size_t count = 0;
        int k;

        k = read_list(r, n, DEFINITION_LIST_MAX, sizeof(char *), read_argument, (void **)&c->command, &count);
        if (k < 0)
                return k;
        if (count == 0)
                return fail(r, n, "a program expected, found an empty list");
        return 0;
}

static int read_image(struct reader *r, const struct node *n, void *target)
{
        int k;

        k = expect(r, n, NODE_STRING);
        if (k < 0)
                return k;
        if (n->text[0] == '\0' || strlen(n->text) > 255)
                return fail(r, n, "the name of an image expected, found \"%.64s\"", n->text);
        for (const char *p = n->text; *p; p++)
                if (*p <= ' ' || *p >= 0x7f)
                        return fail(r, n, "the name of an image expected, found \"%.64s\"", n->text);
        return read_string(r, n, &((struct definition_container *)target)->image);
}

static int read_container_properties(struct reader *r, const struct node *n, void *target)
{
        static const struct field fields[] = {{"image", read_image, true},
                                              {"command", read_command, false},
                                              {"ports", read_container_ports, false},
                                              {"environmentVariables", read_environment, false},
                                              {"resources", read_resources, true},
                                              {}};
        static const char *const later[] = {"volumeMounts",
                                            "livenessProbe",
                                            "readinessProbe",
                                            "configMap",
                                            "securityContext",
                                            "instanceView",
                                            NULL};

        return read_map(r, n, fields, later, target);
}

static int read_container_name(struct reader *r, const struct node *n, void *target)
{
        return read_name(r, n, &((struct definition_container *)target)->name);
}

static int read_container(struct reader *r, const struct node *n, void *element)
{
        static const struct field fields[] = {
                {"name", read_container_name, true}, {"properties", read_container_properties, true}, {}};
        static const char *const later[] = {NULL};

        return read_map(r, n, fields, later, element);
}

static int read_containers(struct reader *r, const struct node *n, void *target)
{
        struct definition *d = target;
        int k;

        k = read_list(r, n, GROUP_CONTAINERS_MAX, sizeof(*d->containers), read_container,
                      (void **)&d->containers, &d->n_containers);
        if (k < 0)
                return k;
        if (d->n_containers == 0)
                return fail(r, n, "at least one container expected, found none");
        for (size_t i = 0; i < d->n_containers; i++)
                for (size_t j = 0; j < i; j++)
                        if (strcmp(d->containers[i].name, d->containers[j].name) == 0)
                                return fail(r, n->children[i], "container \"%s\" is there twice",
                                            d->containers[i].name);
        return 0;
}

static int read_os_type(struct reader *r, const struct node *n, void *target)
{
        int k;

        k = expect(r, n, NODE_STRING);
        if (k < 0)
                return k;
        return strcmp(n->text, "Linux") == 0 ? 0 : fail(r, n, "Linux expected, found \"%.32s\"", n->text);
}

static int read_sku(struct reader *r, const struct node *n, void *target)
{
        int k;

        k = expect(r, n, NODE_STRING);
        if (k < 0)
                return k;
        if (strcmp(n->text, "Confidential") == 0 || strcmp(n->text, "Dedicated") == 0)
                return fail(r, n, "not supported yet: %s", n->text);
        return strcmp(n->text, "Standard") == 0 ? 0
                                                : fail(r, n, "Standard expected, found \"%.32s\"", n->text);
}

static int read_policy(struct reader *r, const struct node *n, void *target)
{
        int k;

        k = expect(r, n, NODE_STRING);
        if (k < 0)
                return k;
        if (restart_policy_from_name(n->text, &((struct definition *)target)->policy) < 0)
                return fail(r, n, "Always, OnFailure or Never expected, found \"%.32s\"", n->text);
        return 0;
}

static int read_address_type(struct reader *r, const struct node *n, void *target)
{
        int k;

        k = expect(r, n, NODE_STRING);
        if (k < 0)
                return k;
        if (strcmp(n->text, "Public") == 0)
                return fail(r, n, "not supported yet: Public");
        return strcmp(n->text, "Private") == 0 ? 0 : fail(r, n, "Private expected, found \"%.32s\"", n->text);
}

static int read_ip(struct reader *r, const struct node *n, void *target)
{
        struct definition *d = target;
        int k;

        k = expect(r, n, NODE_STRING);
        if (k < 0)
                return k;
        if (inet_pton(AF_INET, n->text, &d->ip) != 1)
                return fail(r, n, "an IPv4 address expected, found \"%.64s\"", n->text);
        d->has_ip = true;
        return 0;
}

static int read_address_ports(struct reader *r, const struct node *n, void *target)
{
        _cleanup_free_ struct definition_port *ports = NULL;
        struct definition *d = target;
        int k;

        k = read_list(r, n, DEFINITION_PORTS_MAX, sizeof(*ports), read_port, (void **)&ports, &d->n_ports);
        if (k >= 0 && ports)
                memcpy(d->ports, ports, d->n_ports * sizeof(*ports));
        return k;
}

static int read_address(struct reader *r, const struct node *n, void *target)
{
        static const struct field fields[] = {{"type", read_address_type, true},
                                              {"ip", read_ip, false},
                                              {"ports", read_address_ports, true},
                                              {}};
        static const char *const later[] = {"dnsNameLabel", "autoGeneratedDomainNameLabelScope", "fqdn",
                                            NULL};

        ((struct definition *)target)->has_address = true;
        return read_map(r, n, fields, later, target);
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
                        return fail(r, n, "ipAddress.ports: port %u/%s is not a port of any container",
                                    d->ports[i].port, d->ports[i].udp ? "UDP" : "TCP");
        }
        return 0;
}

/* Azure: no limit may exceed what the whole group requests. */
static int check_limits(struct reader *r, const struct node *n, const struct definition *d)
{
        uint64_t cpu = 0, memory = 0;

        for (size_t i = 0; i < d->n_containers; i++) {
                cpu += d->containers[i].cpu_request;
                memory += d->containers[i].memory_request;
        }
        for (size_t i = 0; i < d->n_containers; i++) {
                const struct definition_container *c = &d->containers[i];

                if (c->cpu_limit > cpu)
                        return fail(r, n,
                                    "container \"%s\": limits.cpu of at most the group's %lu.%03lu expected, "
                                    "found "
                                    "%lu.%03lu",
                                    c->name, cpu / 1000, cpu % 1000, c->cpu_limit / 1000,
                                    c->cpu_limit % 1000);
                if (c->memory_limit > memory)
                        return fail(r, n,
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

        k = expect(r, n, NODE_STRING);
        if (k < 0)
                return k;
        length = strspn(n->text, "abcdefghijklmnopqrstuvwxyz0123456789_");
        if (length == 0 || length > DEFINITION_TYPE_MAX || n->text[length] != '\0')
                return fail(r, n, "a SELinux type of 1 to %d of a-z, 0-9 and \"_\" expected, found \"%.80s\"",
                            DEFINITION_TYPE_MAX, n->text);
        return read_string(r, n, &((struct definition *)target)->selinux_type);
}

static int read_selinux_options(struct reader *r, const struct node *n, void *target)
{
        static const struct field fields[] = {{"type", read_selinux_type, true}, {}};
        static const char *const later[] = {"level", "role", "user", NULL};

        return read_map(r, n, fields, later, target);
}

static int read_security_context(struct reader *r, const struct node *n, void *target)
{
        static const struct field fields[] = {{"seLinuxOptions", read_selinux_options, false}, {}};
        static const char *const later[] = {"runAsUser",          "runAsGroup",     "runAsNonRoot", "fsGroup",
                                            "supplementalGroups", "seccompProfile", "sysctls",      NULL};

        return read_map(r, n, fields, later, target);
}

static int read_properties(struct reader *r, const struct node *n, void *target)
{
        static const struct field fields[] = {{"containers", read_containers, true},
                                              {"osType", read_os_type, false},
                                              {"restartPolicy", read_policy, false},
                                              {"ipAddress", read_address, false},
                                              {"sku", read_sku, false},
                                              {"securityContext", read_security_context, false},
                                              {}};
        static const char *const later[] = {"initContainers",
                                            "volumes",
                                            "imageRegistryCredentials",
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

        k = read_map(r, n, fields, later, target);
        if (k >= 0)
                k = check_ports(r, n, target);
        if (k >= 0)
                k = check_limits(r, n, target);
        return k;
}

static int read_group_name(struct reader *r, const struct node *n, void *target)
{
        return read_name(r, n, &((struct definition *)target)->name);
}

static int read_type(struct reader *r, const struct node *n, void *target)
{
        int k;

        k = expect(r, n, NODE_STRING);
        if (k < 0)
                return k;
        return strcasecmp(n->text, TYPE) == 0 ? 0 : fail(r, n, TYPE " expected, found \"%.80s\"", n->text);
}

static int read_group(struct reader *r, const struct node *n, struct definition **ret)
{
        static const struct field fields[] = {
                {"name", read_group_name, true},     {"properties", read_properties, true},
                {"apiVersion", read_ignored, false}, {"location", read_ignored, false},
                {"type", read_type, false},          {}};
        static const char *const later[] = {"tags", "identity", "zones", NULL};
        _cleanup_(definition_free_ptr) struct definition *d = calloc(1, sizeof(*d));
        int k;

        if (!d)
                return -ENOMEM;
        k = read_map(r, n, fields, later, d);
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
        for (size_t i = 0; i < d->n_containers; i++) {
                struct definition_container *c = &d->containers[i];

                for (size_t k = 0; k < c->n_environment; k++) {
                        free(c->environment[k].name);
                        free(c->environment[k].value);
                }
                for (char **p = c->command; p && *p; p++)
                        free(*p);
                free((void *)c->command);
                free(c->environment);
                free(c->ports);
                free(c->image);
                free(c->name);
        }
        free(d->containers);
        free(d->selinux_type);
        free(d->name);
        free(d);
        return NULL;
}

static int ports_to_json(const struct definition_port *ports, size_t n, sd_json_variant **ret)
{
        _cleanup_json_ sd_json_variant *list = NULL;
        int r = sd_json_variant_new_array(&list, NULL, 0);

        for (size_t i = 0; r >= 0 && i < n; i++)
                r = sd_json_variant_append_arraybo(
                        &list, SD_JSON_BUILD_PAIR_UNSIGNED("port", ports[i].port),
                        SD_JSON_BUILD_PAIR_STRING("protocol", ports[i].udp ? "UDP" : "TCP"));
        if (r >= 0)
                *ret = TAKE_PTR(list);
        return r < 0 ? r : 0;
}

static int environment_to_json(const struct definition_container *c, sd_json_variant **ret)
{
        _cleanup_json_ sd_json_variant *list = NULL;
        int r = sd_json_variant_new_array(&list, NULL, 0);

        for (size_t i = 0; r >= 0 && i < c->n_environment; i++)
                r = sd_json_variant_append_arraybo(
                        &list, SD_JSON_BUILD_PAIR_STRING("name", c->environment[i].name),
                        SD_JSON_BUILD_PAIR_STRING("value", c->environment[i].value));
        if (r >= 0)
                *ret = TAKE_PTR(list);
        return r < 0 ? r : 0;
}

/* Thousandths as a JSON number of the same value: 250 is 0.25. */
static int decimal_to_json(uint64_t milli, sd_json_variant **ret)
{
        return milli % 1000 == 0 ? sd_json_variant_new_unsigned(ret, milli / 1000)
                                 : sd_json_variant_new_real(ret, (double)milli / 1000);
}

static int amounts_to_json(uint64_t cpu, uint64_t memory, sd_json_variant **ret)
{
        _cleanup_json_ sd_json_variant *c = NULL, *m = NULL;
        int r;

        r = decimal_to_json(cpu, &c);
        if (r >= 0) /* rounded up, so that reading it again gives the same pages */
                r = decimal_to_json((memory * 1000 + (1ull << 30) - 1) >> 30, &m);
        if (r >= 0)
                r = sd_json_buildo(ret, SD_JSON_BUILD_PAIR_VARIANT("cpu", c),
                                   SD_JSON_BUILD_PAIR_VARIANT("memoryInGB", m));
        return r;
}

static int container_to_json(const struct definition_container *c, sd_json_variant **ret)
{
        _cleanup_json_ sd_json_variant *ports = NULL, *environment = NULL, *requests = NULL, *limits = NULL;
        int r;

        r = ports_to_json(c->ports, c->n_ports, &ports);
        if (r >= 0)
                r = environment_to_json(c, &environment);
        if (r >= 0)
                r = amounts_to_json(c->cpu_request, c->memory_request, &requests);
        if (r >= 0)
                r = amounts_to_json(c->cpu_limit, c->memory_limit, &limits);
        if (r < 0)
                return r;
        return sd_json_buildo(
                ret, SD_JSON_BUILD_PAIR_STRING("name", c->name),
                SD_JSON_BUILD_PAIR_OBJECT(
                        "properties", SD_JSON_BUILD_PAIR_STRING("image", c->image),
                        SD_JSON_BUILD_PAIR_CONDITION(!!c->command, "command", SD_JSON_BUILD_STRV(c->command)),
                        SD_JSON_BUILD_PAIR_VARIANT("ports", ports),
                        SD_JSON_BUILD_PAIR_VARIANT("environmentVariables", environment),
                        SD_JSON_BUILD_PAIR_OBJECT("resources",
                                                  SD_JSON_BUILD_PAIR_VARIANT("requests", requests),
                                                  SD_JSON_BUILD_PAIR_VARIANT("limits", limits))));
}

static int address_to_json(const struct definition *d, sd_json_variant **ret)
{
        _cleanup_json_ sd_json_variant *ports = NULL;
        char ip[INET_ADDRSTRLEN];
        int r;

        r = ports_to_json(d->ports, d->n_ports, &ports);
        if (r < 0)
                return r;
        return sd_json_buildo(
                ret, SD_JSON_BUILD_PAIR_STRING("type", "Private"),
                SD_JSON_BUILD_PAIR_CONDITION(
                        d->has_ip, "ip", SD_JSON_BUILD_STRING(inet_ntop(AF_INET, &d->ip, ip, sizeof(ip)))),
                SD_JSON_BUILD_PAIR_VARIANT("ports", ports));
}

static int security_context_to_json(const struct definition *d, sd_json_variant **ret)
{
        return sd_json_buildo(ret,
                              SD_JSON_BUILD_PAIR_OBJECT("seLinuxOptions",
                                                        SD_JSON_BUILD_PAIR_STRING("type", d->selinux_type)));
}

int definition_to_json(const struct definition *d, sd_json_variant **ret)
{
        _cleanup_json_ sd_json_variant *containers = NULL, *address = NULL, *security = NULL;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < d->n_containers; i++) {
                _cleanup_json_ sd_json_variant *c = NULL;

                r = container_to_json(&d->containers[i], &c);
                if (r >= 0)
                        r = sd_json_variant_append_array(&containers, c);
        }
        if (r >= 0 && d->has_address)
                r = address_to_json(d, &address);
        if (r >= 0 && d->selinux_type)
                r = security_context_to_json(d, &security);
        if (r < 0)
                return r;
        return sd_json_buildo(
                ret, SD_JSON_BUILD_PAIR_STRING("name", d->name),
                SD_JSON_BUILD_PAIR_OBJECT(
                        "properties", SD_JSON_BUILD_PAIR_VARIANT("containers", containers),
                        SD_JSON_BUILD_PAIR_STRING("osType", "Linux"),
                        SD_JSON_BUILD_PAIR_STRING("restartPolicy", restart_policy_name(d->policy)),
                        SD_JSON_BUILD_PAIR_CONDITION(d->has_address, "ipAddress",
                                                     SD_JSON_BUILD_VARIANT(address)),
                        SD_JSON_BUILD_PAIR_CONDITION(!!security, "securityContext",
                                                     SD_JSON_BUILD_VARIANT(security))));
}
