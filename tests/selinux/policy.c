/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The policy compiles, hides nothing, keeps what it promises and allows what the image needs. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "selinux/selinux.h"
#include "test.h"

Test(policy, compiles_and_hides_nothing)
{
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *p = NULL;
        struct selinux_counts c;
        struct error e = {};

        cr_assert_eq(selinux_policy_compile(POLICY, &p, &e), 0, "%s", e.message);
        selinux_policy_count(p, &c);
        cr_expect_eq(c.dontaudit, 0);
        cr_expect_eq(c.permissive, 0);
        cr_expect(c.handle_unknown_deny);
        cr_expect_lt(c.types, 120);
        cr_expect_lt(c.size, 262144);
}

struct access {
        char subject[64], object[80], class[32], permission[24];
        int expected;
};

/* Each denial stands beside the twin that is allowed, so that it is not one of a policy that denies
 * everything. */
static struct access accesses[] = {
        {HOST("osguard_t"), OBJECT("selinuxfs_t"), "security", "load_policy", 1},
        {HOST("init_t"), OBJECT("selinuxfs_t"), "security", "load_policy", 0},
        {HOST("payload_t"), OBJECT("selinuxfs_t"), "security", "load_policy", 0},
        {HOST("osguard_t"), OBJECT("selinuxfs_t"), "security", "setenforce", 1},
        {HOST("payload_t"), OBJECT("selinuxfs_t"), "security", "setenforce", 0},
        {HOST("osguard_t"), OBJECT("ipe_t"), "file", "write", 1},
        {HOST("payload_t"), OBJECT("ipe_t"), "file", "write", 0},
        {HOST("init_t"), OBJECT("ipe_t"), "file", "write", 0},
        {HOST("osguard_t"), HOST("init_t"), "process", "transition", 1},
        {HOST("init_t"), HOST("osguard_t"), "process", "transition", 0},
        {HOST("payload_t"), OBJECT("payload_exec_t"), "file", "execute_no_trans", 1},
        {HOST("payload_t"), OBJECT("tmp_t"), "file", "execute", 0},
        {HOST("payload_t"), OBJECT("memory_t"), "file", "execute", 0},
        {HOST("payload_t"), OBJECT("var_t"), "file", "write", 1},
        {HOST("payload_t"), OBJECT("var_t"), "file", "execute", 0},
        {HOST("payload_t"), OBJECT("os_t"), "file", "execute", 1},
        {HOST("payload_t"), OBJECT("os_t"), "file", "write", 0},
        {HOST("payload_t"), OBJECT("initramfs_t"), "file", "read", 1},
        {HOST("payload_t"), OBJECT("initramfs_t"), "file", "execute", 0},
        {HOST("payload_t"), OBJECT("memory_t"), "filesystem", "mount", 1},
        {HOST("payload_t"), OBJECT("os_t"), "filesystem", "mount", 0},
        {HOST("payload_t"), OBJECT("fuse_t"), "filesystem", "mount", 0},
        {HOST("payload_t"), OBJECT("fuse_device_t"), "chr_file", "open", 0},
        {HOST("groupd_t"), OBJECT("layer_t"), "filesystem", "mount", 1},
        {HOST("crun_t"), OBJECT("layer_t"), "filesystem", "mount", 0},
        {HOST("payload_t"), OBJECT("block_device_t"), "blk_file", "write", 1},
        {HOST("payload_t"), OBJECT("memory_device_t"), "chr_file", "write", 0},
        {HOST("report_t"), OBJECT("tpm_device_t"), "chr_file", "write", 1},
        {HOST("payload_t"), OBJECT("tpm_device_t"), "chr_file", "write", 0},
        {HOST("groupctl_t"), OBJECT("port_device_t"), "chr_file", "read", 1},
        {HOST("journald_t"), OBJECT("port_device_t"), "chr_file", "read", 0},
        {HOST("crun_t"), CONTAINER("c1,c2"), "process", "transition", 1},
        {HOST("groupd_t"), CONTAINER("c1,c2"), "process", "transition", 0},
        {HOST("init_t"), CONTAINER("c1,c2"), "process", "transition", 0},
        {CONTAINER("c1,c2"), OBJECT("container_init_exec_t"), "file", "entrypoint", 1},
        {CONTAINER("c1,c2"), OBJECT_OF("container_file_t", "c1,c2"), "file", "entrypoint", 0},
        {CONTAINER("c1,c2"), OBJECT("layer_t"), "file", "execute", 1},
        {CONTAINER("c1,c2"), OBJECT_OF("container_data_t", "c1,c2"), "file", "execute", 0},
        {CONTAINER("c1,c2"), OBJECT_OF("container_file_t", "c1,c2"), "file", "execute", 1},
        {HOST("groupd_t"), OBJECT_OF("container_file_t", "c1,c2"), "file", "execute", 0},
        {CONTAINER("c1,c2"), OBJECT_OF("container_file_t", "c1,c2"), "file", "write", 1},
        {CONTAINER("c1,c2"), OBJECT_OF("container_file_t", "c3,c4"), "file", "write", 0},
        {CONTAINER("c1,c2"), OBJECT_OF("container_file_t", "c1,c3"), "file", "read", 0},
        {CONTAINER("c1,c2"), OBJECT_OF("container_data_t", "c1"), "dir", "search", 1},
        {CONTAINER("c1,c2"), OBJECT_OF("container_data_t", "c3"), "dir", "search", 0},
        {CONTAINER("c1,c2"), CONTAINER("c1,c2"), "process", "sigkill", 1},
        {CONTAINER("c1,c2"), CONTAINER("c1,c3"), "process", "sigkill", 0},
        {CONTAINER("c1,c2"), CONTAINER("c1,c2"), "unix_stream_socket", "connectto", 1},
        {CONTAINER("c1,c2"), CONTAINER("c5,c6"), "unix_stream_socket", "connectto", 0},
        {HOST("groupd_t"), CONTAINER("c1,c2"), "process", "sigkill", 1},
        {CONTAINER("c1,c2"), HOST("groupd_t"), "process", "sigkill", 0},
        {CONTAINER("c1,c2"), OBJECT("null_device_t"), "chr_file", "write", 1},
        {CONTAINER("c1,c2"), OBJECT("raw_device_t"), "chr_file", "read", 0},
        {CONTAINER("c1,c2"), OBJECT("block_device_t"), "blk_file", "read", 0},
        {CONTAINER("c1,c2"), OBJECT("sysctl_t"), "file", "read", 1},
        {CONTAINER("c1,c2"), OBJECT("sysctl_t"), "file", "write", 0},
        {CONTAINER("c1,c2"), OBJECT("cgroup_t"), "file", "write", 0},
        {CONTAINER("c1,c2"), OBJECT("securityfs_t"), "dir", "search", 0},
        {CONTAINER("c1,c2"), OBJECT("run_t"), "dir", "search", 0},
        {CONTAINER("c1,c2"), CONTAINER("c1,c2"), "capability", "net_bind_service", 1},
        {CONTAINER("c1,c2"), CONTAINER("c1,c2"), "capability", "sys_admin", 0},
        {CONTAINER("c1,c2"), CONTAINER("c1,c2"), "process", "execmem", 0},
        {CONTAINER("c1,c2"), CONTAINER("c1,c2"), "user_namespace", "create", 0},
        {CONTAINER("c1,c2"), CONTAINER("c1,c2"), "packet_socket", "create", 0},
        {HOST("init_t"), HOST("init_t"), "capability", "sys_module", 0},
        {CONTAINER("c1,c2"), CONTAINER("c1,c2"), "tcp_socket", "listen", 1},
        {CONTAINER("c1,c2"), OBJECT("port_t"), "tcp_socket", "name_bind", 1},
        {INIT_CONTAINER, INIT_CONTAINER, "tcp_socket", "connect", 1},
        {INIT_CONTAINER, OBJECT("port_t"), "tcp_socket", "name_connect", 1},
        {INIT_CONTAINER, INIT_CONTAINER, "tcp_socket", "listen", 0},
        {INIT_CONTAINER, OBJECT("port_t"), "tcp_socket", "name_bind", 0},
        {INIT_CONTAINER, OBJECT_OF("container_data_t", "c1,c2"), "file", "write", 1},
        {HOST("crun_t"), INIT_CONTAINER, "process", "transition", 1},
        {HOST("crun_t"), CONFIDENTIAL, "process", "transition", 1},
        {HOST("groupd_t"), CONFIDENTIAL, "process", "sigkill", 1},
        {CONFIDENTIAL, CONFIDENTIAL, "tcp_socket", "listen", 1},
        {HOST("payload_t"), CONTAINER("c1,c2"), "file", "read", 1},
        {HOST("payload_t"), CONFIDENTIAL, "file", "read", 0},
        {HOST("payload_t"), CONTAINER("c1,c2"), "process", "signull", 1},
        {HOST("payload_t"), CONFIDENTIAL, "process", "signull", 0},
        {HOST("journald_t"), CONFIDENTIAL, "dir", "search", 0},
        {CONTAINER("c1,c2"), CONFIDENTIAL, "file", "read", 0},
};

ParameterizedTestParameters(policy, answers)
{
        return cr_make_param_array(struct access, accesses, ELEMENTSOF(accesses));
}

ParameterizedTest(struct access *a, policy, answers)
{
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *p = NULL;
        struct error e = {};
        int r;

        cr_assert_eq(selinux_policy_read(BINARY, &p, &e), 0, "%s", e.message);
        r = selinux_policy_allows(p, a->subject, a->object, a->class, a->permission, &e);
        cr_expect_eq(r, a->expected, "%s %s:%s %s: %d expected, found %d %s", a->subject, a->object, a->class,
                     a->permission, a->expected, r, r < 0 ? e.message : "");
}

struct addition {
        char text[160], message[64];
};

static struct addition additions[] = {
        {"(allow networkd_t tmp_t (files (manage)))", ""}, /* the twin: an ordinary rule */
        {"(allow payload_t selinuxfs_t (security (load_policy)))", "90-promises.cil"},
        {"(allow init_t selinuxfs_t (security (setenforce)))", "90-promises.cil"},
        {"(allow groupd_t ipe_t (file (write)))", "90-promises.cil"},
        {"(allow payload_t self (process (execmem)))", "90-promises.cil"},
        {"(allow payload_t os_t (file (execmod)))", "90-promises.cil"},
        {"(allow container_t os_t (code (run)))", "90-promises.cil"},
        {"(allow payload_t tmp_t (code (run)))", "90-promises.cil"},
        {"(allow groupd_t os_t (files (write)))", "90-promises.cil"},
        {"(allow payload_t var_t (files (relabel)))", "90-promises.cil"},
        {"(allow groupd_t fuse_t (mounts (make)))", "90-promises.cil"},
        {"(allow payload_t fuse_device_t (devices (use)))", "90-promises.cil"},
        {"(allow payload_t container_t (process (ptrace)))", "90-promises.cil"},
        {"(allow payload_t confidential_container_t (files (read)))", "90-promises.cil"},
        {"(allow journald_t subject (processes (view)))", "90-promises.cil"},
        {"(allow container_t confidential_container_t (unix_sockets (connect)))", "90-promises.cil"},
        {"(allow init_container_t self (internet (serve)))", "90-promises.cil"},
        {"(allow groupd_t init_container_t (processes (become)))", "90-promises.cil"},
        {"(allow container_t block_device_t (disks (use)))", "90-promises.cil"},
        {"(allow container_t self (capability (sys_admin)))", "90-promises.cil"},
        {"(allow container_t group_state_t (files (read)))", "90-promises.cil"},
        {"(allow payload_t container_t (processes (become)))", "90-promises.cil"},
        {"(allow payload_t tpm_device_t (devices (use)))", "90-promises.cil"},
        {"(allow subject unlabeled_t (files (read)))", "90-promises.cil"},
        {"(allow payload_t", "80-addition.cil"},
        {"(allow payload_t nothing_t (files (read)))", "80-addition.cil"},
};

ParameterizedTestParameters(policy, promises)
{
        return cr_make_param_array(struct addition, additions, ELEMENTSOF(additions));
}

ParameterizedTest(struct addition *a, policy, promises)
{
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *p = NULL;
        struct error e = {};
        int r = selinux_policy_compile_with(POLICY, "80-addition.cil", a->text, &p, &e);

        if (a->message[0] == '\0') {
                cr_expect_eq(r, 0, "%s: %s", a->text, e.message);
                return;
        }
        cr_expect_eq(r, -EINVAL, "%s: it compiled", a->text);
        cr_expect_not_null(strstr(e.message, a->message), "%s: '%s' expected in: %s", a->text, a->message,
                           e.message);
}

Test(policy, hidden_denials_are_seen)
{
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *p = NULL;
        struct selinux_counts c;
        struct error e = {};

        cr_assert_eq(selinux_policy_compile(TEST_DATA "/hides", &p, &e), 0, "%s", e.message);
        selinux_policy_count(p, &c);
        cr_expect_eq(c.dontaudit, 1);
        cr_expect_eq(c.permissive, 1);
}

struct bad {
        char path[128];
        int expected;
};

static struct bad bad_files[] = {{"/nonexistent", -ENOENT},
                                 {POLICY "/00-language.cil", -EINVAL},
                                 {"/dev/null", -EINVAL},
                                 {POLICY, -EISDIR}};

ParameterizedTestParameters(policy, bad_binaries)
{
        return cr_make_param_array(struct bad, bad_files, ELEMENTSOF(bad_files));
}

ParameterizedTest(struct bad *b, policy, bad_binaries)
{
        struct selinux_policy *p = NULL;
        struct error e = {};

        cr_expect_eq(selinux_policy_read(b->path, &p, &e), b->expected, "%s: %s", b->path, e.message);
        cr_expect_not_null(strstr(e.message, b->path), "%s", e.message);
        cr_expect_null(p);
}

Test(policy, unknown_names)
{
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *p = NULL;
        struct error e = {};

        cr_assert_eq(selinux_policy_read(BINARY, &p, &e), 0, "%s", e.message);
        cr_expect_eq(selinux_policy_allows(p, HOST("nobody_t"), OBJECT("os_t"), "file", "read", &e), -EINVAL);
        cr_expect_eq(selinux_policy_allows(p, HOST("init_t"), OBJECT("os_t"), "fil", "read", &e), -EINVAL);
        cr_expect_eq(selinux_policy_allows(p, HOST("init_t"), OBJECT("os_t"), "file", "red", &e), -EINVAL);
        cr_expect_eq(selinux_policy_allows(p, "", OBJECT("os_t"), "file", "read", &e), -EINVAL);
}

struct text {
        char bytes[96];
        size_t n;
        char message[64];
};

#define TEXT(literal, expected) {literal, sizeof(literal) - 1, expected}

static struct text texts[] = {
        TEXT("(type a_t)\0(type b_t)", "NUL"),
        TEXT("\x7f"
             "ELF\x02\x01\x01\x80\xff",
             "bad.cil"),
        TEXT("(type \xff\xfe)", "bad.cil"),
        TEXT(")", "bad.cil"),
        TEXT("\"", "bad.cil"),
};

ParameterizedTestParameters(policy, bad_texts)
{
        return cr_make_param_array(struct text, texts, ELEMENTSOF(texts));
}

static int compile_file(const void *bytes, size_t n, struct error *e)
{
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *p = NULL;
        char directory[] = "/tmp/selinux-policy.XXXXXX", path[64];
        int r;

        cr_assert_not_null(mkdtemp(directory));
        (void)snprintf(path, sizeof(path), "%s/bad.cil", directory);
        cr_assert_eq(write_file_atomic(AT_FDCWD, path, bytes, n, 0644, e), 0, "%s", e->message);
        r = selinux_policy_compile(directory, &p, e);
        (void)unlink(path);
        (void)rmdir(directory);
        return r;
}

ParameterizedTest(struct text *t, policy, bad_texts)
{
        struct error e = {};

        cr_expect_eq(compile_file(t->bytes, t->n, &e), -EINVAL);
        cr_expect_not_null(strstr(e.message, t->message), "%s", e.message);
}

Test(policy, line_ends_of_other_systems_are_spaces)
{
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *p = NULL;
        struct error e = {};

        cr_expect_eq(selinux_policy_compile_with(POLICY, "crlf.cil", "(role x_r)\r\n(role y_r)\r\n", &p, &e),
                     0, "%s", e.message);
}

Test(policy, too_deep_and_too_large)
{
        size_t n = (size_t)1024 * 1024;
        _cleanup_free_ char *text = malloc(5 * n);
        struct error e = {};

        cr_assert_not_null(text);
        memset(text, '(', 5 * n);
        cr_expect_eq(compile_file(text, n, &e), -EINVAL);
        cr_expect_eq(compile_file(text, 5 * n, &e), -EFBIG);
        cr_expect_not_null(strstr(e.message, "bad.cil"), "%s", e.message);
}

static int status_of(const char *command)
{
        int status = system(command); /* NOLINT(cert-env33-c) */
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Test(program, exit_statuses)
{
        cr_expect_eq(status_of(BIN_DIR "/selinux-policy check " POLICY " >/dev/null"), 0);
        cr_expect_eq(status_of(BIN_DIR "/selinux-policy check --policy=" BINARY " --json=short >/dev/null"),
                     0);
        cr_expect_eq(status_of(BIN_DIR "/selinux-policy check " TEST_DATA "/hides >/dev/null 2>&1"), 1);
        cr_expect_eq(status_of(BIN_DIR "/selinux-policy check /nonexistent 2>/dev/null"), 2);
        cr_expect_eq(status_of(BIN_DIR "/selinux-policy check 2>/dev/null"), 2);
        cr_expect_eq(status_of(BIN_DIR "/selinux-policy diff " POLICY " " BINARY), 0);
        cr_expect_eq(status_of(BIN_DIR "/selinux-policy diff " POLICY " " TEST_DATA
                                       "/hides --json=short >/dev/null"),
                     1);
        cr_expect_eq(status_of(BIN_DIR "/selinux-policy diff " POLICY " /nonexistent 2>/dev/null"), 2);
        cr_expect_eq(status_of(BIN_DIR "/selinux-policy new-type " POLICY " web --execmem >/dev/null"), 0);
        cr_expect_eq(status_of(BIN_DIR "/selinux-policy new-type " POLICY " web --device=tun 2>/dev/null"),
                     1);
        cr_expect_eq(status_of(BIN_DIR "/selinux-policy new-type " POLICY " web --port=x 2>/dev/null"), 2);
        cr_expect_eq(
                status_of(BIN_DIR "/selinux-policy explain " POLICY " " TEST_DATA "/needed.log >/dev/null"),
                0);
        cr_expect_eq(status_of(BIN_DIR "/selinux-policy explain " POLICY " --json=short <" TEST_DATA
                                       "/forbidden.log >/dev/null"),
                     1);
        cr_expect_eq(status_of(BIN_DIR "/selinux-policy explain " POLICY " " TEST_DATA
                                       "/malformed.log >/dev/null 2>&1"),
                     2);
        cr_expect_eq(status_of(BIN_DIR "/selinux-policy query -p " BINARY " init_t os_t >/dev/null"), 0);
        cr_expect_eq(
                status_of(BIN_DIR "/selinux-policy query -p " BINARY " container_t os_t file >/dev/null"), 1);
        cr_expect_eq(status_of(BIN_DIR "/selinux-policy query -p " BINARY " init_t 2>/dev/null"), 2);
        cr_expect_eq(status_of(BIN_DIR "/selinux-policy query -p " BINARY " init_t os_t nothing 2>/dev/null"),
                     2);
}
