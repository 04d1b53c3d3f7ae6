/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The group file: the YAML or JSON that `az container create --file` takes
 * (Microsoft.ContainerInstance/containerGroups). Unknown properties are errors that name line, column and the
 * nearest known name; Azure's that are not carried out here are errors too. apiVersion, location and type are
 * read and mean nothing. One property is Kubernetes' (PodSecurityContext): properties.securityContext. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "runtime/group/machine.h"

#define DEFINITION_NAME_MAX 63 /* characters of a group's or a container's name */
#define DEFINITION_PORTS_MAX 5 /* ports of the group's address */
#define DEFINITION_TYPE_MAX 63 /* characters of a SELinux type */
#define DEFINITION_VOLUMES_MAX 20
#define DEFINITION_LIST_MAX 1024 /* arguments, variables, ports of one container */

struct definition_variable {
        char *name, *value;
};

struct definition_port {
        uint16_t port;
        bool udp;
};

enum definition_volume_type { VOLUME_UNKNOWN, VOLUME_EMPTY_DIR, VOLUME_SECRET };

/* A file of a secret volume. */
struct definition_secret {
        char *name, *value; /* value: base64 */
};

struct definition_volume {
        char *name;
        enum definition_volume_type type;
        struct definition_secret *secrets;
        size_t n_secrets;
};

struct definition_mount {
        char *volume, *path; /* the path is absolute and has neither "." nor ".." in it */
        bool read_only;
};

/* As in Kubernetes: a GET answered with 200 to 399 is a success. */
struct definition_probe {
        char *path;
        uint16_t port;
        unsigned delay_s, period_s, timeout_s;
        unsigned failures, successes; /* so many in a row count */
};

struct definition_container {
        char *name;
        char *image;
        char **command; /* NULL-terminated; NULL where the image says */
        struct definition_port *ports;
        size_t n_ports;
        struct definition_variable *environment;
        size_t n_environment;
        struct definition_mount *mounts;
        size_t n_mounts;
        struct definition_probe *probes[PROBES_]; /* NULL: none of that kind */
        uint64_t cpu_request, cpu_limit; /* thousandths of a processor; an init container has the group's */
        uint64_t memory_request, memory_limit; /* bytes; likewise */
};

struct definition {
        char *name;
        enum restart_policy policy;
        struct definition_container *containers; /* the first n_init are init containers */
        size_t n_init, n_containers;             /* of all, 1 to GROUP_CONTAINERS_MAX */
        bool has_address; /* ipAddress is there; the group gets an address in any case */
        bool has_ip;
        struct in_addr ip;
        struct definition_port ports[DEFINITION_PORTS_MAX];
        size_t n_ports;
        struct definition_volume *volumes;
        size_t n_volumes;
        char *selinux_type; /* of its processes; NULL: container_t */
};

/* From the text of a file; `name` stands in front of messages. */
int definition_parse(const char *name, const char *text, size_t size, struct definition **ret,
                     struct error *e);

/* From the JSON that definition_to_json() made, or a client wrote. */
int definition_from_json(sd_json_variant *v, struct definition **ret, struct error *e);

/* The canonical JSON: every value explicit. */
int definition_to_json(const struct definition *d, sd_json_variant **ret);

struct definition *definition_free(struct definition *d);
DEFINE_CLEANUP(struct definition *, definition_free)

/* What the group may use: the sum of what its containers request. */
void definition_total(const struct definition *d, uint64_t *ret_cpu, uint64_t *ret_memory);

/* The bytes of a secret's file; they are the caller's. -EINVAL: no base64. */
int definition_decode_secret(const char *text, void **ret, size_t *ret_size);

/* 1 to 63 of a-z, 0-9 and "-", which neither begins nor ends it. */
bool definition_name_valid(const char *name);
