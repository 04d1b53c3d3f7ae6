/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A type for containers that need more gets that, and nothing that a promise forbids. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "selinux/selinux.h"
#include "test.h"

#define WEB(categories) "system_u:system_r:web_t:s0:" categories

static const char *const devices[] = {"kvm"}, *const capabilities[] = {"sys_nice"};
static const unsigned ports[] = {80, 443};
static const struct selinux_type_wishes all = {.name = "web",
                                               .devices = devices,
                                               .n_devices = 1,
                                               .ports = ports,
                                               .n_ports = 2,
                                               .capabilities = capabilities,
                                               .n_capabilities = 1,
                                               .execmem = true};

static struct selinux_policy *extended(const struct selinux_type_wishes *w)
{
        struct selinux_policy *p = NULL;
        _cleanup_free_ char *text = NULL;
        struct error e = {};

        cr_assert_eq(selinux_policy_new_type(POLICY, w, &text, &e), 0, "%s", e.message);
        cr_assert_eq(selinux_policy_compile_with(POLICY, "80-web.cil", text, &p, &e), 0, "%s", e.message);
        return p;
}

static int allows(struct selinux_policy *p, const char *subject, const char *object, const char *class,
                  const char *permission)
{
        struct error e = {};
        int r = selinux_policy_allows(p, subject, object, class, permission, &e);

        cr_assert_geq(r, 0, "%s", e.message);
        return r;
}

Test(new_type, gets_what_it_asks_for)
{
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *p = extended(&all);

        cr_expect(allows(p, WEB("c1,c2"), WEB("c1,c2"), "process", "execmem"));
        cr_expect(!allows(p, CONTAINER("c1,c2"), CONTAINER("c1,c2"), "process", "execmem"));
        cr_expect(allows(p, WEB("c1,c2"), OBJECT("web_kvm_t"), "chr_file", "open"));
        cr_expect(!allows(p, CONTAINER("c1,c2"), OBJECT("web_kvm_t"), "chr_file", "open"));
        cr_expect(allows(p, WEB("c1,c2"), OBJECT("web_port_t"), "tcp_socket", "name_bind"));
        cr_expect(!allows(p, CONTAINER("c1,c2"), OBJECT("web_port_t"), "tcp_socket", "name_bind"));
        cr_expect(allows(p, CONTAINER("c1,c2"), OBJECT("web_port_t"), "tcp_socket", "name_connect"));
        cr_expect(allows(p, WEB("c1,c2"), WEB("c1,c2"), "capability", "sys_nice"));
}

Test(new_type, is_a_container)
{
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *p = extended(&all);

        cr_expect(allows(p, WEB("c1,c2"), OBJECT_OF("container_file_t", "c1,c2"), "file", "write"));
        cr_expect(!allows(p, WEB("c1,c2"), OBJECT_OF("container_file_t", "c1,c3"), "file", "write"));
        cr_expect(!allows(p, WEB("c1,c2"), WEB("c1,c3"), "process", "sigkill"));
        cr_expect(allows(p, HOST("crun_t"), WEB("c1,c2"), "process", "transition"));
        cr_expect(!allows(p, HOST("payload_t"), WEB("c1,c2"), "process", "transition"));
        cr_expect(allows(p, HOST("groupd_t"), WEB("c1,c2"), "process", "sigkill"));
}

/* Without wishes it is container_t under another name: it has the permissions of it, on everything but
 * itself. */
Test(new_type, without_wishes_it_is_container_t)
{
        static const struct selinux_type_wishes nothing = {.name = "web"};
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *p = extended(&nothing);
        static const char *const objects[] = {"os_t",          "layer_t",  "tmp_t",
                                              "null_device_t", "sysctl_t", "groupd_t"};

        for (size_t i = 0; i < ELEMENTSOF(objects); i++) {
                char object[64], **mine = NULL, **theirs = NULL;
                struct error e = {};
                size_t j = 0;

                (void)snprintf(object, sizeof(object), "system_u:object_r:%s:s0", objects[i]);
                cr_assert_eq(selinux_policy_query(p, WEB("c1,c2"), object, NULL, &mine, &e), 0, "%s",
                             e.message);
                cr_assert_eq(selinux_policy_query(p, CONTAINER("c1,c2"), object, NULL, &theirs, &e), 0);
                for (; mine[j] && theirs[j]; j++)
                        cr_expect_str_eq(mine[j], theirs[j]);
                cr_expect(!mine[j] && !theirs[j]);
                selinux_names_free(mine);
                selinux_names_free(theirs);
        }
}

Test(new_type, leaves_no_finding)
{
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *p = extended(&all);
        struct selinux_findings f;
        struct error e = {};

        cr_assert_eq(selinux_policy_check(p, &f, &e), 0, "%s", e.message);
        for (size_t i = 0; i < f.n; i++)
                cr_expect_fail("%s: %s", f.items[i].name, f.items[i].about);
        selinux_findings_done(&f);
}

/* selinux/compile, by which the image is built, takes the file that new-type writes. */
Test(new_type, the_image_takes_it)
{
        char directory[] = "/tmp/selinux-type.XXXXXX", command[256], path[64];
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *p = NULL;
        _cleanup_free_ char *contexts = NULL;
        struct error e = {};

        cr_assert_not_null(mkdtemp(directory));
        (void)snprintf(command, sizeof(command),
                       BIN_DIR "/selinux-policy new-type " POLICY " web --device=kvm -o %s/web.cil && " POLICY
                               "/../compile %s %s",
                       directory, directory, directory);
        cr_assert_eq(system(command), 0); /* NOLINT(cert-env33-c) */
        (void)snprintf(path, sizeof(path), "%s/policy.33", directory);
        cr_assert_eq(selinux_policy_read(path, &p, &e), 0, "%s", e.message);
        cr_expect(allows(p, WEB("c1,c2"), OBJECT("web_kvm_t"), "chr_file", "open"));
        (void)snprintf(path, sizeof(path), "%s/boot_contexts", directory);
        cr_assert_eq(read_file(AT_FDCWD, path, 65536, &contexts, NULL, &e), 0, "%s", e.message);
        cr_expect_not_null(strstr(contexts, "/dev/(.*/)?kvm\t-c\tsystem_u:object_r:web_kvm_t:s0\n"));
        (void)snprintf(command, sizeof(command), "rm -r %s", directory);
        cr_assert_eq(system(command), 0); /* NOLINT(cert-env33-c) */
}

struct wish {
        char name[48], device[48], capability[48];
        unsigned port;
        int expected;
        char message[48];
};

static struct wish wishes[] = {
        {"web", "", "", 0, 0, ""},
        {"web", "tun", "", 0, -EPERM, "90-promises.cil"},
        {"web", "tpm0", "", 0, -EPERM, "90-promises.cil"},
        {"web", "fuse", "", 0, -EPERM, "90-promises.cil"},
        {"web", "mem", "", 0, -EPERM, "90-promises.cil"},
        {"web", "kmsg", "", 0, -EPERM, "90-promises.cil"},
        {"web", "", "sys_admin", 0, -EPERM, "90-promises.cil"},
        {"web", "", "net_raw", 0, -EPERM, "90-promises.cil"},
        {"web", "", "no_such_thing", 0, -EPERM, "no_such_thing"},
        {"container", "", "", 0, -EPERM, "container_t"},
        {"", "", "", 0, -EINVAL, "name"},
        {"1web", "", "", 0, -EINVAL, "name"},
        {"web)(allow", "", "", 0, -EINVAL, "name"},
        {"a_name_that_is_longer_than_thirty_two", "", "", 0, -EINVAL, "name"},
        {"web", "../sda", "", 0, -EINVAL, "device"},
        {"web", "kvm\" t)", "", 0, -EINVAL, "device"},
        {"web", "", "all))", 0, -EINVAL, "capability"},
        {"web", "", "", 65536, -EINVAL, "port"},
};

ParameterizedTestParameters(new_type, refusals)
{
        return cr_make_param_array(struct wish, wishes, ELEMENTSOF(wishes));
}

ParameterizedTest(struct wish *x, new_type, refusals)
{
        const char *device = x->device, *capability = x->capability;
        const struct selinux_type_wishes w = {.name = x->name,
                                              .devices = &device,
                                              .n_devices = x->device[0] != '\0',
                                              .ports = &x->port,
                                              .n_ports = x->port != 0,
                                              .capabilities = &capability,
                                              .n_capabilities = x->capability[0] != '\0'};
        _cleanup_free_ char *text = NULL;
        struct error e = {};
        int r = selinux_policy_new_type(POLICY, &w, &text, &e);

        cr_expect_eq(r, x->expected, "%s %s %s: %d expected, found %d: %s", x->name, x->device, x->capability,
                     x->expected, r, e.message);
        cr_expect_not_null(strstr(e.message, x->message), "%s", e.message);
}
