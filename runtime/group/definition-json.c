/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A definition as the canonical JSON that definition_from_json() reads. */
#include <arpa/inet.h>

#include "runtime/group/definition-parts.h"

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

static int init_container_to_json(const struct definition_container *c, sd_json_variant **ret)
{
        _cleanup_json_ sd_json_variant *environment = NULL, *mounts = NULL;
        int r;

        r = environment_to_json(c, &environment);
        if (r >= 0)
                r = definition_mounts_to_json(c, &mounts);
        if (r < 0)
                return r;
        return sd_json_buildo(
                ret, SD_JSON_BUILD_PAIR_STRING("name", c->name),
                SD_JSON_BUILD_PAIR_OBJECT(
                        "properties", SD_JSON_BUILD_PAIR_STRING("image", c->image),
                        SD_JSON_BUILD_PAIR_CONDITION(!!c->command, "command", SD_JSON_BUILD_STRV(c->command)),
                        SD_JSON_BUILD_PAIR_VARIANT("environmentVariables", environment),
                        SD_JSON_BUILD_PAIR_CONDITION(!!mounts, "volumeMounts",
                                                     SD_JSON_BUILD_VARIANT(mounts))));
}

static int container_to_json(const struct definition_container *c, sd_json_variant **ret)
{
        _cleanup_json_ sd_json_variant *ports = NULL, *environment = NULL, *mounts = NULL, *requests = NULL,
                                       *limits = NULL, *liveness = NULL, *readiness = NULL;
        int r;

        r = ports_to_json(c->ports, c->n_ports, &ports);
        if (r >= 0)
                r = environment_to_json(c, &environment);
        if (r >= 0)
                r = definition_mounts_to_json(c, &mounts);
        if (r >= 0)
                r = amounts_to_json(c->cpu_request, c->memory_request, &requests);
        if (r >= 0)
                r = amounts_to_json(c->cpu_limit, c->memory_limit, &limits);
        if (r >= 0 && c->probes[PROBE_LIVENESS])
                r = definition_probe_to_json(c->probes[PROBE_LIVENESS], &liveness);
        if (r >= 0 && c->probes[PROBE_READINESS])
                r = definition_probe_to_json(c->probes[PROBE_READINESS], &readiness);
        if (r < 0)
                return r;
        return sd_json_buildo(
                ret, SD_JSON_BUILD_PAIR_STRING("name", c->name),
                SD_JSON_BUILD_PAIR_OBJECT(
                        "properties", SD_JSON_BUILD_PAIR_STRING("image", c->image),
                        SD_JSON_BUILD_PAIR_CONDITION(!!c->command, "command", SD_JSON_BUILD_STRV(c->command)),
                        SD_JSON_BUILD_PAIR_VARIANT("ports", ports),
                        SD_JSON_BUILD_PAIR_VARIANT("environmentVariables", environment),
                        SD_JSON_BUILD_PAIR_CONDITION(!!mounts, "volumeMounts", SD_JSON_BUILD_VARIANT(mounts)),
                        SD_JSON_BUILD_PAIR_CONDITION(!!liveness, "livenessProbe",
                                                     SD_JSON_BUILD_VARIANT(liveness)),
                        SD_JSON_BUILD_PAIR_CONDITION(!!readiness, "readinessProbe",
                                                     SD_JSON_BUILD_VARIANT(readiness)),
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
        _cleanup_json_ sd_json_variant *init = NULL, *containers = NULL, *volumes = NULL, *address = NULL,
                                       *security = NULL;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < d->n_containers; i++) {
                _cleanup_json_ sd_json_variant *c = NULL;

                r = i < d->n_init ? init_container_to_json(&d->containers[i], &c)
                                  : container_to_json(&d->containers[i], &c);
                if (r >= 0)
                        r = sd_json_variant_append_array(i < d->n_init ? &init : &containers, c);
        }
        if (r >= 0)
                r = definition_volumes_to_json(d, &volumes);
        if (r >= 0 && d->has_address)
                r = address_to_json(d, &address);
        if (r >= 0 && d->selinux_type)
                r = security_context_to_json(d, &security);
        if (r < 0)
                return r;
        return sd_json_buildo(
                ret, SD_JSON_BUILD_PAIR_STRING("name", d->name),
                SD_JSON_BUILD_PAIR_OBJECT(
                        "properties",
                        SD_JSON_BUILD_PAIR_CONDITION(!!init, "initContainers", SD_JSON_BUILD_VARIANT(init)),
                        SD_JSON_BUILD_PAIR_VARIANT("containers", containers),
                        SD_JSON_BUILD_PAIR_CONDITION(!!volumes, "volumes", SD_JSON_BUILD_VARIANT(volumes)),
                        SD_JSON_BUILD_PAIR_STRING("osType", "Linux"),
                        SD_JSON_BUILD_PAIR_STRING("restartPolicy", restart_policy_name(d->policy)),
                        SD_JSON_BUILD_PAIR_CONDITION(d->has_address, "ipAddress",
                                                     SD_JSON_BUILD_VARIANT(address)),
                        SD_JSON_BUILD_PAIR_CONDITION(!!security, "securityContext",
                                                     SD_JSON_BUILD_VARIANT(security))));
}
