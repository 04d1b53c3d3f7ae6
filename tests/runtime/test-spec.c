/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <seccomp.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "runtime/group/seccomp.h"
#include "runtime/group/spec.h"

static const struct definition_container container = {
        .name = (char *)"web",
        .image = (char *)"sample/nginx:1",
        .environment = (struct definition_variable[]){{(char *)"A", (char *)"from the file"},
                                                      {(char *)"E", (char *)""}},
        .n_environment = 2,
        .cpu_request = 500,
        .cpu_limit = 1500,
        .memory_request = 256ull << 20,
        .memory_limit = 512ull << 20,
};

static const struct spec_input input = {
        .container = &container,
        .hostname = "sample",
        .entrypoint = (char *const[]){(char *)"/usr/sbin/nginx", NULL},
        .cmd = (char *const[]){(char *)"-g", (char *)"daemon off;", NULL},
        .env = (char *const[]){(char *)"A=from the image", (char *)"PATH=/x", NULL},
        .workdir = "/srv",
        .uid = 0,
        .gid = 33,
        .rootfs = "/run/holdfast/containers/sample/web/rootfs",
        .init = "/usr/lib/holdfast/container-init",
        .netns = "/run/holdfast/netns/sample",
        .cgroup = "/system.slice/groupd.service/g-sample/web",
        .categories = "c1,c2",
};

static char *build(const struct spec_input *in)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        struct error e = {};
        char *text = NULL;

        cr_assert_geq(spec_build(in, &v, &e), 0, "%s", e.message);
        cr_assert_geq(sd_json_variant_format(v, SD_JSON_FORMAT_PRETTY, &text), 0);
        return text;
}

/* Every line of what the executor is told is in the golden file: a change of it is a decision, not an
 * accident. */
Test(spec, golden)
{
        _cleanup_free_ char *text = build(&input), *golden = NULL;
        struct error e = {};

        cr_assert_geq(read_file(AT_FDCWD, TEST_DATA "/spec.json", 1 << 20, &golden, NULL, &e), 0, "%s",
                      e.message);
        if (strcmp(text, golden) != 0)
                (void)write_file_atomic(AT_FDCWD, "/tmp/spec.json", text, strlen(text), 0644, NULL);
        cr_assert_str_eq(text, golden, "differs from tests/runtime/data/spec.json; found:\n%s", text);
}

Test(spec, a_command_of_the_file_replaces_the_image_s)
{
        struct definition_container c = container;
        struct spec_input in = input;
        _cleanup_free_ char *text = NULL;

        c.command = (char *[]){(char *)"/bin/other", NULL};
        in.container = &c;
        text = build(&in);
        cr_assert_not_null(strstr(text, "\"/bin/other\""));
        cr_assert_null(strstr(text, "nginx\""));
        cr_assert_null(strstr(text, "daemon off"));
}

Test(spec, the_type_that_the_group_names)
{
        struct spec_input in = input;
        _cleanup_free_ char *text = NULL;

        in.type = "web_t";
        text = build(&in);
        cr_assert_not_null(strstr(text, "\"selinuxLabel\" : \"system_u:system_r:web_t:s0:c1,c2\""));
        cr_assert_not_null(strstr(text, "\"mountLabel\" : \"system_u:object_r:container_data_t:s0:c1,c2\""));
        cr_assert_null(strstr(text, "container_t"));
}

Test(spec, volumes_hold_data_alone)
{
        struct definition_container c = container;
        struct spec_input in = input;
        _cleanup_json_ sd_json_variant *v = NULL;
        sd_json_variant *list, *last[2];
        _cleanup_free_ char *shared = NULL, *secret = NULL;

        c.mounts = (struct definition_mount[]){{(char *)"data", (char *)"/data", false},
                                               {(char *)"key", (char *)"/etc/key", true}};
        c.n_mounts = 2;
        in.container = &c;
        in.volumes = "/run/holdfast/volumes/sample";
        cr_assert_geq(spec_build(&in, &v, NULL), 0);
        list = sd_json_variant_by_key(v, "mounts");
        for (size_t i = 0; i < 2; i++) /* the last one is our init's */
                last[i] = sd_json_variant_by_index(list, sd_json_variant_elements(list) - 3 + i);
        cr_assert_geq(sd_json_variant_format(last[0], 0, &shared), 0);
        cr_assert_geq(sd_json_variant_format(last[1], 0, &secret), 0);
        cr_assert_str_eq(shared,
                         "{\"destination\":\"/data\",\"type\":\"bind\",\"source\":\"/run/holdfast/volumes/"
                         "sample/data\",\"options\":[\"bind\",\"rw\",\"nosuid\",\"nodev\",\"noexec\"]}");
        cr_assert_str_eq(secret,
                         "{\"destination\":\"/etc/key\",\"type\":\"bind\",\"source\":\"/run/holdfast/volumes/"
                         "sample/key\",\"options\":[\"bind\",\"ro\",\"nosuid\",\"nodev\",\"noexec\"]}");
}

Test(spec, no_program_is_an_error)
{
        static char *const empty[] = {NULL};
        _cleanup_json_ sd_json_variant *v = NULL;
        struct spec_input in = input;
        struct error e = {};

        in.entrypoint = in.cmd = empty;
        cr_assert_eq(spec_build(&in, &v, &e), -EINVAL);
        cr_assert_not_null(strstr(e.message, "container \"web\": a command expected"), "%s", e.message);
}

Test(spec, without_selinux_there_is_no_label)
{
        struct spec_input in = input;
        _cleanup_free_ char *text = NULL;

        in.categories = NULL;
        text = build(&in);
        cr_assert_null(strstr(text, "selinuxLabel"));
        cr_assert_null(strstr(text, "mountLabel"));
}

Test(seccomp, names_are_known)
{
        for (const char *const *name = seccomp_allowed; *name; name++)
                cr_assert_neq(seccomp_syscall_resolve_name_arch(SCMP_ARCH_X86_64, *name), __NR_SCMP_ERROR,
                              "%s", *name);
}

Test(seccomp, what_no_container_may)
{
        static const char *const refused[] = {"mount",
                                              "umount2",
                                              "pivot_root",
                                              "open_tree",
                                              "move_mount",
                                              "fsopen",
                                              "fsconfig",
                                              "fsmount",
                                              "mount_setattr",
                                              "unshare",
                                              "setns",
                                              "clone",
                                              "clone3",
                                              "bpf",
                                              "ptrace",
                                              "process_vm_readv",
                                              "process_vm_writev",
                                              "keyctl",
                                              "add_key",
                                              "request_key",
                                              "init_module",
                                              "finit_module",
                                              "delete_module",
                                              "kexec_load",
                                              "kexec_file_load",
                                              "perf_event_open",
                                              "userfaultfd",
                                              "io_uring_setup",
                                              "io_uring_enter",
                                              "io_uring_register",
                                              "open_by_handle_at",
                                              "name_to_handle_at",
                                              "reboot",
                                              "swapon",
                                              "iopl",
                                              "ioperm",
                                              "settimeofday",
                                              "clock_settime",
                                              "adjtimex",
                                              "acct",
                                              "quotactl",
                                              "syslog",
                                              "vhangup",
                                              "socket",
                                              "personality",
                                              "kcmp",
                                              "pidfd_getfd",
                                              "fanotify_init",
                                              "sethostname",
                                              "setdomainname",
                                              "lookup_dcookie",
                                              "nfsservctl",
                                              "move_pages",
                                              "process_madvise",
                                              "memfd_secret"};

        for (size_t i = 0; i < ELEMENTSOF(refused); i++)
                for (const char *const *name = seccomp_allowed; *name; name++)
                        cr_assert_str_neq(*name, refused[i]);
}

Test(seccomp, no_name_twice)
{
        for (const char *const *a = seccomp_allowed; *a; a++)
                for (const char *const *b = a + 1; *b; b++)
                        cr_assert_str_neq(*a, *b);
}
