/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What root in a container tries; the entrypoint of the image test/attempts. A container cannot read the
 * kernel's log, so only the errno is judged here; tests/vm/inside looks for the records on the serial port.
 *
 * `attempts wait` runs until SIGTERM and then ends with WAITED; it prints its label first. `attempts init`
 * tries what an init container may not; `attempts volumes` tries the volumes at /data (emptyDir) and /secret,
 * to which `attempts prepare`, in an init container, has written. */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "tests/vm/guest/attempts.h"
#include "tests/vm/guest/tap.h"

#define HELPER "/helper"
#define WAITED 7

static struct tap tap;

static struct outcome run_layer(void)
{
        return try_exec(HELPER, HELPER_RAN);
}

static struct outcome mmap_layer(void)
{
        return try_mmap_exec(HELPER);
}

static struct outcome write_root(void)
{
        int r = copy_file(HELPER, "/written", 0755);
        (void)unlink("/written");
        return r < 0 ? attempt_refused(r, "write /written") : attempt_worked();
}

static struct outcome bind_port(void)
{
        return try_bind(8080);
}

static const struct tap_row allowed[] = {
        {"program of a signed layer runs", run_layer, NULL, 0},
        {"mmap RX of a file of a signed layer", mmap_layer, NULL, 0},
        {"a file is written to the root", write_root, NULL, 0},
        {"/proc/self/mem writes data", try_proc_mem_data, NULL, 0},
        {"a TCP port is bound", bind_port, NULL, 0},
        {"connections are waited for", try_listen, NULL, 0},
};

static struct outcome copy_root(void)
{
        return try_exec_copy(HELPER, "/", HELPER_RAN);
}

static struct outcome copy_shm(void)
{
        return try_exec_copy(HELPER, "/dev/shm", HELPER_RAN);
}

static struct outcome copied_up(void)
{
        int fd = open(HELPER, O_RDWR | O_CLOEXEC);
        if (fd < 0)
                return attempt_refused(errno, "copy up " HELPER);
        (void)close(fd);
        return try_exec(HELPER, HELPER_RAN);
}

static struct outcome exec_memfd(void)
{
        return try_exec_memfd("/stranger", STRANGER_RAN);
}

static struct outcome script(void)
{
        return try_exec_script("/stranger", "/");
}

static struct outcome mmap_written(void)
{
        int r = copy_file("/stranger", "/mapped", 0755);
        return r < 0 ? attempt_void(r, "copy") : try_mmap_exec("/mapped");
}

static struct outcome rx_to_rwx(void)
{
        return try_rx_to_rwx("/stranger");
}

static struct outcome private_write_then_rx(void)
{
        return try_private_write_then_rx("/stranger");
}

static struct outcome mount_tmpfs(void)
{
        return try_mount("attempt", "/tmp", "tmpfs", 0, NULL);
}

static struct outcome raw_socket(void)
{
        _cleanup_close_ int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
        return fd < 0 ? attempt_refused(errno, "raw socket") : attempt_worked();
}

static struct outcome core_pattern(void)
{
        return try_core_pattern("/stranger", "/core-answer");
}

static struct outcome module(void)
{
        return try_init_module("/stranger", "stranger");
}

static struct outcome open_kmsg(void)
{
        return try_open("/proc/kmsg", O_RDONLY);
}

static struct outcome open_sysrq(void)
{
        return try_open("/proc/sysrq-trigger", O_RDONLY);
}

static struct outcome open_setting(void)
{
        return try_open("/proc/sys/kernel/randomize_va_space", O_WRONLY);
}

static struct outcome open_network_setting(void)
{
        return try_open("/proc/sys/net/ipv4/ip_forward", O_WRONLY);
}

static struct outcome open_modprobe(void)
{
        return try_open("/proc/sys/kernel/modprobe", O_WRONLY);
}

static struct outcome open_cgroup(void)
{
        return try_open("/sys/fs/cgroup/cgroup.procs", O_WRONLY);
}

/* Those of another group: with them its files and processes would be within reach. */
static struct outcome other_categories(void)
{
        return try_attribute("current", "system_u:system_r:container_t:s0:c1022,c1023");
}

static struct outcome label_of_programs(void)
{
        return try_attribute("exec", "system_u:system_r:groupd_t:s0-s0:c0.c1023");
}

static struct outcome label_of_files(void)
{
        return try_attribute("fscreate", "system_u:object_r:container_file_t:s0:c1022,c1023");
}

static struct outcome relabel_memfd(void)
{
        return try_relabel_memfd("system_u:object_r:layer_t:s0");
}

static struct outcome audit_socket(void)
{
        return try_socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT);
}

static struct outcome netfilter_socket(void)
{
        return try_socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
}

static struct outcome disk_node(void)
{
        return try_node("/disk", S_IFBLK, 254, 0);
}

static struct outcome tpm_node(void)
{
        return try_node("/tpm", S_IFCHR, 10, 224);
}

static const struct tap_row refused[] = {
        {"copy of a program in the root", copy_root, "SELinux", EACCES},
        {"copy of a program on /dev/shm", copy_shm, "mount option", EACCES},
        {"program that was copied up", copied_up, "SELinux", EACCES},
        {"program in a memfd", exec_memfd, "SELinux", EACCES},
        {"script that was written, by name", script, "SELinux", EACCES},
        {"mmap RX of a file that was written", mmap_written, "IPE", EACCES},
        {"anonymous RWX memory", try_anonymous_rwx, "SELinux", EACCES},
        {"anonymous RW memory made RX", try_anonymous_rw_then_rx, "SELinux", EACCES},
        {"RX mapping of a layer's file made RWX", rx_to_rwx, "SELinux", EACCES},
        {"private mapping written, then RX", private_write_then_rx, "SELinux", EACCES},
        {"/proc/self/mem into text", try_proc_mem_text, "proc_mem.force_override", EIO},
        {"ptrace POKE into text", try_ptrace_poke_text, "seccomp", EPERM},
        {"mount", mount_tmpfs, "seccomp", EPERM},
        {"user namespace", try_user_namespace, "seccomp", EPERM},
        {"raw socket", raw_socket, "SELinux", EACCES},
        {"kernel module", module, "seccomp", EPERM},
        {"kexec_load", try_kexec_load, "seccomp", EPERM},
        {"usermode helper by core_pattern", core_pattern, "SELinux", EACCES},
        {"/dev/mem", try_memory_device, "absence", ENOENT},
        {"the kernel's log", open_kmsg, "SELinux", EACCES},
        {"/proc/sysrq-trigger", open_sysrq, "SELinux", EACCES},
        {"a setting of the kernel", open_setting, "SELinux", EACCES},
        {"a setting of the network", open_network_setting, "SELinux", EACCES},
        {"the setting that names modprobe", open_modprobe, "SELinux", EACCES},
        {"its own control group", open_cgroup, "SELinux", EACCES},
        {"another group's categories", other_categories, "SELinux", EACCES},
        {"a domain of the host by exec", label_of_programs, "SELinux", EACCES},
        {"files with another group's label", label_of_files, "SELinux", EACCES},
        {"a memfd relabelled as a layer's", relabel_memfd, "SELinux", EACCES},
        {"an audit socket", audit_socket, "SELinux", EACCES},
        {"a netfilter socket", netfilter_socket, "SELinux", EACCES},
        {"a node for a disk", disk_node, "capabilities", EPERM},
        {"a node for the TPM", tpm_node, "capabilities", EPERM},
};

/* An init container has what any has, but it serves nobody. */
static const struct tap_row init_allowed[] = {
        {"program of a signed layer runs", run_layer, NULL, 0},
        {"a file is written to the root", write_root, NULL, 0},
};

static const struct tap_row init_refused[] = {
        {"a TCP port is bound", bind_port, "SELinux", EACCES},
        {"connections are waited for", try_listen, "SELinux", EACCES},
};

static const char prepared[] = "from the init container", secret[] = "a secret of the group";

static int prepare(void)
{
        return write_file_atomic(AT_FDCWD, "/data/prepared", prepared, strlen(prepared), 0644, NULL) < 0;
}

static struct outcome read_text(const char *path, const char *expected)
{
        _cleanup_free_ char *text = NULL;
        int r = read_file(AT_FDCWD, path, 256, &text, NULL, NULL);

        if (r < 0)
                return attempt_refused(r, "read %s", path);
        return strcmp(text, expected) == 0 ? attempt_worked() : attempt_void(EBADMSG, "%s: %s", path, text);
}

static struct outcome read_prepared(void)
{
        return read_text("/data/prepared", prepared);
}

static struct outcome read_secret(void)
{
        return read_text("/secret/token", secret);
}

static struct outcome write_to(const char *path)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        if (fd < 0)
                return attempt_refused(-errno, "write %s", path);
        (void)close(fd);
        (void)unlink(path);
        return attempt_worked();
}

static struct outcome write_data(void)
{
        return write_to("/data/written");
}

static struct outcome write_secret(void)
{
        return write_to("/secret/written");
}

static struct outcome copy_data(void)
{
        return try_exec_copy(HELPER, "/data", HELPER_RAN);
}

static const struct tap_row volumes_allowed[] = {
        {"what an init container wrote to an emptyDir", read_prepared, NULL, 0},
        {"a file is written to an emptyDir", write_data, NULL, 0},
        {"a secret is read", read_secret, NULL, 0},
};

static const struct tap_row volumes_refused[] = {
        {"a copy in an emptyDir", copy_data, "mount option", EACCES},
        {"a file is written to a secret", write_secret, "mount option", EROFS},
};

static void note(int signal_number)
{
        (void)signal_number;
}

static int wait_for_end(void)
{
        struct sigaction action = {.sa_handler = note};
        _cleanup_free_ char *label = NULL;

        (void)sigaction(SIGTERM, &action, NULL);
        (void)read_file(AT_FDCWD, "/proc/self/attr/current", 256, &label, &(size_t){0}, NULL);
        printf("waiting as %s\n", label ? label : "nobody");
        (void)fflush(stdout);
        (void)pause();
        return WAITED;
}

int main(int argc, char **argv)
{
        if (argc == 2 && strcmp(argv[1], "wait") == 0)
                return wait_for_end();
        if (argc == 2 && strcmp(argv[1], "prepare") == 0)
                return prepare();
        tap_start_blind(&tap, stdout);
        if (argc == 2 && strcmp(argv[1], "init") == 0) {
                tap_rows(&tap, "init container", init_allowed, ELEMENTSOF(init_allowed));
                tap_rows(&tap, "init container", init_refused, ELEMENTSOF(init_refused));
        } else if (argc == 2 && strcmp(argv[1], "volumes") == 0) {
                tap_rows(&tap, "volumes", volumes_allowed, ELEMENTSOF(volumes_allowed));
                tap_rows(&tap, "volumes", volumes_refused, ELEMENTSOF(volumes_refused));
        } else {
                tap_rows(&tap, "container", allowed, ELEMENTSOF(allowed));
                tap_rows(&tap, "container", refused, ELEMENTSOF(refused));
        }
        return tap_finish(&tap);
}
