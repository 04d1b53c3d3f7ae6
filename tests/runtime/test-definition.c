/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "runtime/group/definition.h"
#include "runtime/group/node.h"

#define CONTAINER(name, more)                                                                                \
        "  - name: " name "\n    properties:\n      image: i\n" more                                         \
        "      resources: {requests: {cpu: 1, memoryInGB: 1}}\n"
#define GROUP(containers, more) "name: g\nproperties:\n  containers:\n" containers more

static int parse(const char *text, struct definition **ret, struct error *e)
{
        return definition_parse("f", text, strlen(text), ret, e);
}

Test(definition, the_whole_form)
{
        _cleanup_(definition_free_ptr) struct definition *d = NULL;
        struct error e = {};
        static const char text[] =
                "apiVersion: '2023-05-01'\nlocation: x\ntype: Microsoft.ContainerInstance/containerGroups\n"
                "name: a-1\nproperties:\n  osType: Linux\n  sku: Standard\n  restartPolicy: OnFailure\n"
                "  ipAddress: {type: Private, ip: 10.0.2.77, ports: [{port: 80}, {port: 53, protocol: "
                "udp}]}\n"
                "  containers:\n  - name: web\n    properties:\n      image: sample/nginx:1\n"
                "      command: [/bin/x, '-y', \"a b\"]\n      ports: [{port: 80, protocol: TCP}]\n"
                "      environmentVariables:\n      - {name: A, value: '1'}\n      - {name: B, value: ''}\n"
                "      resources: {requests: {cpu: 0.5, memoryInGB: 0.25}, limits: {cpu: 1.25}}\n"
                "  - name: dns\n    properties:\n      image: d\n      ports: [{port: 53, protocol: UDP}]\n"
                "      resources: {requests: {cpu: 1.0, memoryInGB: 1.5}}\n";

        cr_assert_eq(parse(text, &d, &e), 0, "%s", e.message);
        cr_assert_str_eq(d->name, "a-1");
        cr_assert_eq(d->policy, RESTART_ON_FAILURE);
        cr_assert_eq(d->n_containers, 2);
        cr_assert(d->has_ip);
        cr_assert_eq(ntohl(d->ip.s_addr), 0x0a00024du);
        cr_assert_eq(d->n_ports, 2);
        cr_assert(d->ports[1].udp);
        cr_assert_str_eq(d->containers[0].command[2], "a b");
        cr_assert_null(d->containers[0].command[3]);
        cr_assert_null(d->containers[1].command);
        cr_assert_str_eq(d->containers[0].environment[1].value, "");
        cr_assert_eq(d->containers[0].cpu_request, 500);
        cr_assert_eq(d->containers[0].cpu_limit, 1250);
        cr_assert_eq(d->containers[0].memory_request, 256ull << 20);
        cr_assert_eq(d->containers[0].memory_limit, 256ull << 20);
        cr_assert_eq(d->containers[1].memory_limit, 1536ull << 20);
        cr_assert_null(d->selinux_type);
}

/* They come first, wherever the file has them, and have the whole group's resources. */
Test(definition, init_containers)
{
#define INIT(name)                                                                                           \
        "  - {name: " name                                                                                   \
        ", properties: {image: i, command: [/x], environmentVariables: [{name: A, value: b}]}}\n"
        static const char *const texts[] = {
                "name: g\nproperties:\n  initContainers:\n" INIT("one")
                        INIT("two") "  containers:\n" CONTAINER("a", "") CONTAINER("b", ""),
                GROUP(CONTAINER("a", "") CONTAINER("b", ""), "  initContainers:\n" INIT("one") INIT("two"))};

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                _cleanup_(definition_free_ptr) struct definition *d = NULL, *again = NULL;
                _cleanup_json_ sd_json_variant *v = NULL;
                struct error e = {};

                cr_assert_eq(parse(texts[i], &d, &e), 0, "%s", e.message);
                cr_assert_geq(definition_to_json(d, &v), 0);
                cr_assert_eq(definition_from_json(v, &again, &e), 0, "%s", e.message);
                cr_assert_eq(again->n_init, 2);
                cr_assert_eq(again->n_containers, 4);
                cr_assert_str_eq(again->containers[0].name, "one");
                cr_assert_str_eq(again->containers[1].name, "two");
                cr_assert_str_eq(again->containers[2].name, "a");
                cr_assert_str_eq(again->containers[1].command[0], "/x");
                cr_assert_str_eq(again->containers[1].environment[0].value, "b");
                cr_assert_eq(again->containers[0].memory_limit, 2ull << 30);
                cr_assert_eq(again->containers[0].cpu_limit, 2000);
                cr_assert_eq(again->containers[3].memory_limit, 1ull << 30);
        }
}

Test(definition, probes)
{
        static const char text[] = GROUP(CONTAINER("c", "      livenessProbe: {httpGet: {path: /live, port: "
                                                        "80, scheme: http}, periodSeconds: 5}\n"
                                                        "      readinessProbe: {httpGet: {port: 81}, "
                                                        "initialDelaySeconds: 7, timeoutSeconds: 2, "
                                                        "failureThreshold: 4, successThreshold: 6}\n"),
                                         "");
        _cleanup_(definition_free_ptr) struct definition *first = NULL, *d = NULL;
        _cleanup_json_ sd_json_variant *v = NULL;
        const struct definition_probe *live, *ready;
        struct error e = {};

        cr_assert_eq(parse(text, &first, &e), 0, "%s", e.message);
        cr_assert_geq(definition_to_json(first, &v), 0);
        cr_assert_eq(definition_from_json(v, &d, &e), 0, "%s", e.message);
        live = d->containers[0].probes[PROBE_LIVENESS];
        ready = d->containers[0].probes[PROBE_READINESS];
        cr_assert_str_eq(live->path, "/live");
        cr_assert(live->port == 80 && live->delay_s == 0 && live->period_s == 5 && live->timeout_s == 1);
        cr_assert(live->failures == 3 && live->successes == 1);
        cr_assert_str_eq(ready->path, "/");
        cr_assert(ready->port == 81 && ready->delay_s == 7 && ready->period_s == 10 && ready->timeout_s == 2);
        cr_assert(ready->failures == 4 && ready->successes == 6);
}

Test(definition, volumes)
{
        static const char text[] = GROUP(
                CONTAINER("c", "      volumeMounts: [{name: data, mountPath: /data/}, {name: key, mountPath: "
                               "/etc/key}]\n"),
                "  volumes: [{name: data, emptyDir: {}}, {name: key, secret: {a: aGVsbG8=, b.pem: ''}}]\n");
        _cleanup_(definition_free_ptr) struct definition *first = NULL, *d = NULL;
        _cleanup_json_ sd_json_variant *v = NULL;
        _cleanup_free_ char *data = NULL;
        struct error e = {};
        size_t size;

        cr_assert_eq(parse(text, &first, &e), 0, "%s", e.message);
        cr_assert_geq(definition_to_json(first, &v), 0);
        cr_assert_eq(definition_from_json(v, &d, &e), 0, "%s", e.message);
        cr_assert_eq(d->n_volumes, 2);
        cr_assert_eq(d->volumes[0].type, VOLUME_EMPTY_DIR);
        cr_assert_eq(d->volumes[1].n_secrets, 2);
        cr_assert_str_eq(d->volumes[1].secrets[1].name, "b.pem");
        cr_assert_geq(definition_decode_secret(d->volumes[1].secrets[0].value, (void **)&data, &size), 0);
        cr_assert(size == 5 && memcmp(data, "hello", 5) == 0);
        cr_assert_str_eq(d->containers[0].mounts[0].path, "/data");
        cr_assert(!d->containers[0].mounts[0].read_only);
        cr_assert(d->containers[0].mounts[1].read_only, "a secret is read-only");
}

Test(definition, a_selinux_type)
{
        _cleanup_(definition_free_ptr) struct definition *d = NULL, *again = NULL;
        _cleanup_json_ sd_json_variant *v = NULL;
        struct error e = {};

        cr_assert_eq(parse(GROUP(CONTAINER("c", ""), "  securityContext: {seLinuxOptions: {type: web_t}}\n"),
                           &d, &e),
                     0, "%s", e.message);
        cr_assert_str_eq(d->selinux_type, "web_t");
        cr_assert_geq(definition_to_json(d, &v), 0);
        cr_assert_eq(definition_from_json(v, &again, &e), 0, "%s", e.message);
        cr_assert_str_eq(again->selinux_type, "web_t");
}

/* What is sent to groupd, and kept on disk, means the same as the file. */
Test(definition, json_and_back)
{
        static const char *const amounts[] = {"0.1", "0.3", "0.007", "1", "1.234", "0.25", "16", "0.5"};

        for (size_t i = 0; i < ELEMENTSOF(amounts); i++) {
                _cleanup_(definition_free_ptr) struct definition *a = NULL, *b = NULL;
                _cleanup_json_ sd_json_variant *v = NULL, *w = NULL;
                _cleanup_free_ char *text = NULL, *again = NULL;
                char file[512];
                struct error e = {};

                (void)snprintf(file, sizeof(file),
                               "name: g\nproperties: {containers: [{name: c, properties: {image: i, command: "
                               "[a], ports: "
                               "[{port: 1}], environmentVariables: [{name: X, value: 'y z'}], resources: "
                               "{requests: {cpu: "
                               "1, memoryInGB: %s}}}}], restartPolicy: Never, ipAddress: {type: Private, ip: "
                               "1.2.3.4, "
                               "ports: [{port: 1}]}}\n",
                               amounts[i]);
                cr_assert_eq(parse(file, &a, &e), 0, "%s", e.message);
                cr_assert_geq(definition_to_json(a, &v), 0);
                cr_assert_geq(sd_json_variant_format(v, 0, &text), 0);
                cr_assert_geq(json_parse("text", text, &w, &e), 0);
                cr_assert_eq(definition_from_json(w, &b, &e), 0, "%s", e.message);
                cr_assert_eq(a->containers[0].memory_request, b->containers[0].memory_request, "%s",
                             amounts[i]);
                sd_json_variant *second = NULL;
                cr_assert_geq(definition_to_json(b, &second), 0);
                cr_assert_geq(sd_json_variant_format(second, 0, &again), 0);
                sd_json_variant_unref(second);
                cr_assert_str_eq(text, again);
                /* and JSON text is a group file too */
                _cleanup_(definition_free_ptr) struct definition *c = NULL;
                if (i == 3)
                        cr_assert_eq(parse(text, &c, &e), 0, "%s", e.message);
        }
}

struct bad {
        char text[2000];
        char message[200]; /* how the message begins */
};

static struct bad bad[] = {
        {"", "f:1:1: a document expected, found none"},
        {"[]", "f:1:1: a map expected, found a list"},
        {"name: g\n", "f:1:1: property \"properties\" expected, not found"},
        {"name: G\nproperties: {}\n",
         "f:1:1: name: 1 to 63 of a-z, 0-9 and inner \"-\" expected, found \"G\""},
        {"name: ../x\n", "f:1:1: name: "},
        {"name: -a\n", "f:1:1: name: "},
        {"name: 1\n", "f:1:1: name: a string expected, found the number 1: put it in quotes"},
        {"nmae: g\n", "f:1:1: unknown property \"nmae\", did you mean \"name\"?"},
        {"name: g\nname: h\n", "f:2:1: \"name\" is there twice"},
        {"name: &a g\n", "f:1:7: anchors and tags are not accepted"},
        {"name: *a\n", "f:1:7: aliases are not accepted"},
        {"name: !!str g\n", "f:1:7: anchors and tags are not accepted"},
        {"name: g\n---\nname: h\n", "f:2:1: one document expected, found more"},
        {"name: \"a\\0b\"\n", "f:1:7: text expected, found a NUL character"},
        {"name: [\n", "f:2:1: YAML or JSON expected"},
        {"\x80", "f: byte 0: UTF-8 text expected"},
        {"[[[[[[[[[[[[[[[[[[[[[[[[", "f:1:17: nested too deeply"},
        {"tags: {}\n", "f:1:1: not supported yet: tags"},
        {GROUP(CONTAINER("c", ""), "  initContainers: [{name: c, properties: {image: i}}]\n"),
         "f:8:20: properties.initContainers: container \"c\" is there twice"},
        {GROUP(CONTAINER("c", ""), "  initContainers: [{name: d, properties: {image: i, ports: []}}]\n"),
         "f:8:53: properties.initContainers[0].properties.ports: an init container has no ports and no "
         "probes, and "
         "the resources of the whole group"},
        {"name: g\nproperties:\n  initContainers: [{name: d, properties: {image: i}}]\n  containers: []\n",
         "f:4:3: properties.containers: at least one container expected, found none"},
        {GROUP(CONTAINER("c", "      livenessProbe: {periodSeconds: 5}\n"), ""),
         "f:7:7: properties.containers[0].properties.livenessProbe: property \"httpGet\" expected, not "
         "found"},
        {GROUP(CONTAINER("c", "      livenessProbe: {httpGet: {port: 1}, successThreshold: 2}\n"), ""),
         "f:7:7: properties.containers[0].properties.livenessProbe: successThreshold 1 expected, found 2"},
        {GROUP(CONTAINER("c", "      readinessProbe: {httpGet: {port: 0}}\n"), ""),
         "f:7:34: properties.containers[0].properties.readinessProbe.httpGet.port: 1 to 65535 expected, "
         "found 0"},
        {GROUP(CONTAINER("c", "      readinessProbe: {httpGet: {port: 1, path: \"/a b\"}}\n"), ""),
         "f:7:43: properties.containers[0].properties.readinessProbe.httpGet.path: a path in printable "
         "ASCII"},
        {GROUP(CONTAINER("c", "      readinessProbe: {httpGet: {port: 1, path: \"/a\\r\\nX: y\"}}\n"), ""),
         "f:7:43: properties.containers[0].properties.readinessProbe.httpGet.path: a path in printable "
         "ASCII"},
        {GROUP(CONTAINER("c", "      readinessProbe: {httpGet: {port: 1, scheme: https}}\n"), ""),
         "f:7:43: properties.containers[0].properties.readinessProbe.httpGet.scheme: not supported yet: "
         "https"},
        {GROUP(CONTAINER("c", "      readinessProbe: {httpGet: {port: 1}, timeoutSeconds: 0}\n"), ""),
         "f:7:44: properties.containers[0].properties.readinessProbe.timeoutSeconds: 1 to 86400 expected, "
         "found 0"},
        {GROUP(CONTAINER("c", "      livenessProbe: {exec: {command: [/x]}}\n"), ""),
         "f:7:23: properties.containers[0].properties.livenessProbe: not supported yet: exec"},
        {GROUP(CONTAINER("c", ""), "  volumes: [{name: v}]\n"),
         "f:8:13: properties.volumes[0]: emptyDir or secret expected, found neither"},
        {GROUP(CONTAINER("c", ""), "  volumes: [{name: v, emptyDir: {}, secret: {a: YQ==}}]\n"),
         "f:8:37: properties.volumes[0].secret: a volume of one kind expected, found a second one"},
        {GROUP(CONTAINER("c", ""), "  volumes: [{name: v, emptyDir: {size: 1}}]\n"),
         "f:8:34: properties.volumes[0].emptyDir: unknown property \"size\""},
        {GROUP(CONTAINER("c", ""), "  volumes: [{name: v, emptyDir: {}}, {name: v, emptyDir: {}}]\n"),
         "f:8:38: properties.volumes: volume \"v\" is there twice"},
        {GROUP(CONTAINER("c", ""), "  volumes: [{name: v, secret: {../a: YQ==}}]\n"),
         "f:8:32: properties.volumes[0].secret: a file name of 1 to 253"},
        {GROUP(CONTAINER("c", ""), "  volumes: [{name: v, secret: {a: 'no*'}}]\n"),
         "f:8:32: properties.volumes[0].secret: a value in base64 expected"},
        {GROUP(CONTAINER("c", ""), "  volumes: [{name: v, secret: {}}]\n"),
         "f:8:23: properties.volumes[0].secret: 1 to 1024 files expected, found 0"},
        {GROUP(CONTAINER("c", ""), "  volumes: [{name: v, azureFile: {shareName: s}}]\n"),
         "f:8:23: properties.volumes[0].azureFile: not to be had: an SMB share"},
        {GROUP(CONTAINER("c", ""), "  volumes: [{name: v, gitRepo: {repository: r}}]\n"),
         "f:8:23: properties.volumes[0].gitRepo: not to be had: nothing is fetched outside a container"},
        {GROUP(CONTAINER("c", "      volumeMounts: [{name: v, mountPath: /v}]\n"), ""),
         "f:2:1: properties: container \"c\": volumeMounts: the group has no volume \"v\""},
        {GROUP(CONTAINER("c", "      volumeMounts: [{name: v, mountPath: /v}, {name: w, mountPath: /v/}]\n"),
               ""),
         "f:7:48: properties.containers[0].properties.volumeMounts: mountPath \"/v\" is there twice"},
        {GROUP(CONTAINER("c", "      volumeMounts: [{name: v, mountPath: /}]\n"), ""),
         "f:7:32: properties.containers[0].properties.volumeMounts[0].mountPath: an absolute path below"},
        {GROUP(CONTAINER("c", "      volumeMounts: [{name: v, mountPath: v}]\n"), ""),
         "f:7:32: properties.containers[0].properties.volumeMounts[0].mountPath: an absolute path below"},
        {GROUP(CONTAINER("c", "      volumeMounts: [{name: v, mountPath: /a/../proc}]\n"), ""),
         "f:7:32: properties.containers[0].properties.volumeMounts[0].mountPath: an absolute path below"},
        {GROUP(CONTAINER("c", "      volumeMounts: [{name: v, mountPath: '//proc'}]\n"), ""),
         "f:7:32: properties.containers[0].properties.volumeMounts[0].mountPath: an absolute path below"},
        {GROUP(CONTAINER("c", "      volumeMounts: [{name: v, mountPath: /proc/}]\n"), ""),
         "f:7:32: properties.containers[0].properties.volumeMounts[0].mountPath: a path outside /proc "
         "expected"},
        {GROUP(CONTAINER("c", "      volumeMounts: [{name: v, mountPath: /.holdfast/init}]\n"), ""),
         "f:7:32: properties.containers[0].properties.volumeMounts[0].mountPath: a path outside /.holdfast "
         "expected"},
        {GROUP("    []\n", ""), "f:3:3: properties.containers: at least one container expected, found none"},
        {GROUP(CONTAINER("c", "") CONTAINER("c", ""), ""),
         "f:8:5: properties.containers: container \"c\" is there twice"},
        {GROUP(CONTAINER("c", "      comand: []\n"), ""),
         "f:7:7: properties.containers[0].properties: unknown property \"comand\", did you mean "
         "\"command\"?"},
        {GROUP(CONTAINER("c", "      command: []\n"), ""),
         "f:7:7: properties.containers[0].properties.command: a program expected, found an empty list"},
        {GROUP(CONTAINER("c", "      command: x\n"), ""),
         "f:7:7: properties.containers[0].properties.command: a list expected"},
        {GROUP(CONTAINER("c", "      ports: [{port: 0}]\n"), ""),
         "f:7:16: properties.containers[0].properties.ports[0].port: a port from 1 to 65535 expected, found "
         "0"},
        {GROUP(CONTAINER("c", "      ports: [{port: -1}]\n"), ""), "f:7:16: "},
        {GROUP(CONTAINER("c", "      ports: [{port: 1.5}]\n"), ""), "f:7:16: "},
        {GROUP(CONTAINER("c", "      ports: [{port: 99999999999999999999}]\n"), ""), "f:7:16: "},
        {GROUP(CONTAINER("c", "      environmentVariables: [{name: 'A=B', value: x}]\n"), ""),
         "f:7:31: properties.containers[0].properties.environmentVariables[0].name: a name without \"=\" "
         "expected"},
        {GROUP(CONTAINER("c", "      environmentVariables: [{name: A, value: 1}]\n"), ""),
         "f:7:40: properties.containers[0].properties.environmentVariables[0].value: a string expected, "
         "found the number 1"},
        {GROUP(CONTAINER("c", "      environmentVariables: [{name: A, secureValue: x}]\n"), ""),
         "f:7:40: properties.containers[0].properties.environmentVariables[0]: not supported yet: "
         "secureValue"},
        {GROUP(CONTAINER("c", ""), "  osType: Windows\n"),
         "f:8:3: properties.osType: Linux expected, found \"Windows\""},
        {GROUP(CONTAINER("c", ""), "  restartPolicy: always\n"),
         "f:8:3: properties.restartPolicy: Always, OnFailure or Never"},
        {GROUP(CONTAINER("c", ""), "  sku: Confidential\n"),
         "f:8:3: properties.sku: not supported yet: Confidential"},
        {GROUP(CONTAINER("c", ""), "  securityContext: {seLinuxOptions: {type: 'web_t:s0'}}\n"),
         "f:8:38: properties.securityContext.seLinuxOptions.type: a SELinux type of 1 to 63 of a-z, 0-9 and "
         "\"_\" expected, found \"web_t:s0\""},
        {GROUP(CONTAINER("c", ""), "  securityContext: {seLinuxOptions: {type: ''}}\n"), "f:8:38: "},
        {GROUP(CONTAINER("c", ""), "  securityContext: {seLinuxOptions: {}}\n"),
         "f:8:21: properties.securityContext.seLinuxOptions: property \"type\" expected, not found"},
        {GROUP(CONTAINER("c", ""), "  securityContext: {seLinuxOptions: {level: s0}}\n"),
         "f:8:38: properties.securityContext.seLinuxOptions: not supported yet: level"},
        {GROUP(CONTAINER("c", ""), "  securityContext: {selinuxOptions: {type: web_t}}\n"),
         "f:8:21: properties.securityContext: unknown property \"selinuxOptions\", did you mean "
         "\"seLinuxOptions\"?"},
        {GROUP(CONTAINER("c", ""), "  ipAddress: {type: Public, ports: []}\n"),
         "f:8:15: properties.ipAddress.type: not supported yet: Public"},
        {GROUP(CONTAINER("c", ""), "  ipAddress: {type: Private, ip: 1.2.3, ports: []}\n"),
         "f:8:30: properties.ipAddress.ip: an IPv4 address expected, found \"1.2.3\""},
        {GROUP(CONTAINER("c", ""), "  ipAddress: {type: Private, ports: [{port: 80}]}\n"),
         "f:2:1: properties: ipAddress.ports: port 80/TCP is not a port of any container"},
        {"name: g\nproperties: {containers: [{name: c, properties: {image: i, resources: {requests: {cpu: 1, "
         "memoryInGB: 1}, "
         "limits: {cpu: 0.5}}}}]}\n",
         "f:2:60: properties.containers[0].properties.resources: limits.cpu of at least requests.cpu, 1.000, "
         "expected, found 0.500"},
        {"name: g\nproperties: {containers: [{name: c, properties: {image: i, resources: {requests: {cpu: 1, "
         "memoryInGB: 1}, "
         "limits: {memoryInGB: 2}}}}]}\n",
         "f:2:1: properties: container \"c\": limits.memoryInGB of at most the group's 1024 MiB expected, "
         "found 2048 MiB"},
        {"name: g\nproperties: {containers: [{name: c, properties: {image: i, resources: {requests: {cpu: 0, "
         "memoryInGB: 1}}}}]}",
         "f:2:83: properties.containers[0].properties.resources.requests.cpu: 0.01 to 1024 processors "
         "expected, found 0"},
        {"name: g\nproperties: {containers: [{name: c, properties: {image: 'a b', resources: {}}}]}",
         "f:2:50: properties.containers[0].properties.image: the name of an image expected"},
};

ParameterizedTestParameters(definition, should_fail)
{
        return cr_make_param_array(struct bad, bad, ELEMENTSOF(bad));
}

ParameterizedTest(struct bad *b, definition, should_fail)
{
        _cleanup_(definition_free_ptr) struct definition *d = NULL;
        struct error e = {};

        cr_assert_lt(parse(b->text, &d, &e), 0, "accepted: %s", b->text);
        cr_assert_null(d);
        cr_assert_eq(strncmp(e.message, b->message, strlen(b->message)), 0, "expected \"%s…\", found \"%s\"",
                     b->message, e.message);
}

Test(definition, bounds)
{
        static char text[NODE_TEXT_MAX + 2];
        _cleanup_(definition_free_ptr) struct definition *d = NULL;
        struct error e = {};
        size_t n = 0;

        memset(text, ' ', sizeof(text));
        cr_assert_eq(definition_parse("f", text, sizeof(text), &d, &e), -EFBIG);
        n += (size_t)sprintf(text + n, "name: g\nproperties:\n  containers:\n");
        for (int i = 0; i <= GROUP_CONTAINERS_MAX; i++)
                n += (size_t)sprintf(text + n, CONTAINER("c%d", ""), i);
        cr_assert_eq(definition_parse("f", text, n, &d, &e), -EINVAL);
        cr_assert_not_null(strstr(e.message, "at most 60 expected, found 61"), "%s", e.message);
        n = (size_t)sprintf(text, "[");
        for (int i = 0; i <= NODE_COUNT_MAX; i++)
                n += (size_t)sprintf(text + n, "1,");
        (void)sprintf(text + n, "]");
        cr_assert_eq(definition_parse("f", text, n + 1, &d, &e), -EINVAL);
        cr_assert_not_null(strstr(e.message, "too many values"), "%s", e.message);
}

Test(definition, json_from_a_client)
{
        static const char *const texts[] = {
                "{}",
                "{\"name\":\"g\"}",
                "{\"name\":\"../g\",\"properties\":{}}",
                "{\"name\":\"g\",\"properties\":{\"containers\":{}}}",
                "{\"name\":\"g\",\"properties\":{\"containers\":[{\"name\":\"c\"}]}}",
                "{\"name\":\"a\\u0000b\",\"properties\":{}}"};

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                _cleanup_(definition_free_ptr) struct definition *d = NULL;
                _cleanup_json_ sd_json_variant *v = NULL;
                struct error e = {};

                if (json_parse("text", texts[i], &v, &e) >= 0)
                        cr_assert_lt(definition_from_json(v, &d, &e), 0, "accepted: %s", texts[i]);
                cr_assert_null(d);
        }
}
