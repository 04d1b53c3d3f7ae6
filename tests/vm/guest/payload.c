/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The payload of the test variant: what root tries in the booted image, from a disk signed for tests. Every
 * refusal names the layer that refused; tests/vm/bare shows the same attempts against the kernel's layers
 * alone, and that they are sound where nothing stops them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/process.h"
#include "tests/vm/guest/attempts.h"
#include "tests/vm/guest/tap.h"
#include "tests/vm/guest/verity.h"

#define PAYLOAD "/run/holdfast/payload"
#define HELPER PAYLOAD "/helper"
#define LAYER PAYLOAD "/images/layer.img"
#define LD_SO "/usr/lib64/ld-linux-x86-64.so.2"
#define SCRATCH "/tmp/attempts" /* on the image's own /tmp */
#define OWN SCRATCH "/own"      /* a tmpfs that root mounts itself, without noexec */
#define MOUNTPOINT SCRATCH "/mnt"

static struct tap tap;

/* What the image allows, so that the denials below are not those of a machine where nothing works. */

static struct outcome run_signed(void)
{
        return try_exec(HELPER, HELPER_RAN);
}

static struct outcome run_signed_fd(void)
{
        return try_exec_fd(HELPER, HELPER_RAN);
}

static struct outcome run_signed_script(void)
{
        return try_exec(PAYLOAD "/script", HELPER_RAN);
}

static struct outcome ld_so_signed(void)
{
        return try_ld_so(LD_SO, NULL, PAYLOAD "/dynamic");
}

static struct outcome preload_signed(void)
{
        return try_ld_preload(LD_SO, NULL, PAYLOAD "/dynamic", PAYLOAD "/preload.so");
}

static struct outcome mmap_exec_signed(void)
{
        return try_mmap_exec(HELPER);
}

static struct outcome verity_signed(void)
{
        return try_verity(LAYER, PAYLOAD "/images/layer.p7s");
}

static struct outcome write_scratch(void)
{
        int r = copy_file(HELPER, SCRATCH "/written", 0755);
        (void)unlink(SCRATCH "/written");
        return r < 0 ? attempt_refused(r, "write " SCRATCH) : attempt_worked();
}

static const struct tap_row allowed[] = {
        {"program of the signed disk runs", run_signed, NULL, 0},
        {"descriptor of a signed program runs", run_signed_fd, NULL, 0},
        {"script of the signed disk runs", run_signed_script, NULL, 0},
        {"ld.so runs a signed program", ld_so_signed, NULL, 0},
        {"LD_PRELOAD of a signed library", preload_signed, NULL, 0},
        {"mmap RX of a signed file", mmap_exec_signed, NULL, 0},
        {"/proc/self/mem writes data", try_proc_mem_data, NULL, 0},
        {"a file is written to /tmp", write_scratch, NULL, 0},
        {"layer with its signature is opened", verity_signed, NULL, 0},
};

/* Files that root wrote */

static struct outcome copy_tmp(void)
{
        return try_exec_copy(HELPER, SCRATCH, HELPER_RAN);
}

static struct outcome copy_own_tmpfs(void)
{
        return try_exec_copy(HELPER, OWN, HELPER_RAN);
}

static struct outcome copy_var(void)
{
        return try_exec_copy(HELPER, "/var", HELPER_RAN);
}

static struct outcome copy_run(void)
{
        return try_exec_copy(HELPER, "/run", HELPER_RAN);
}

static struct outcome copy_shm(void)
{
        return try_exec_copy(HELPER, "/dev/shm", HELPER_RAN);
}

static struct outcome exec_memfd(void)
{
        return try_exec_memfd(HELPER, HELPER_RAN);
}

static struct outcome script_tmp(void)
{
        return try_exec_script(HELPER, OWN);
}

static struct outcome ld_so_written(void)
{
        int r = copy_file(PAYLOAD "/dynamic", OWN "/dynamic", 0755);
        return r < 0 ? attempt_void(r, "copy dynamic") : try_ld_so(LD_SO, NULL, OWN "/dynamic");
}

static struct outcome preload_written(void)
{
        int r = copy_file(PAYLOAD "/preload.so", OWN "/preload.so", 0755);
        return r < 0 ? attempt_void(r, "copy preload.so")
                     : try_ld_preload(LD_SO, NULL, PAYLOAD "/dynamic", OWN "/preload.so");
}

static struct outcome mmap_exec_written(void)
{
        int r = copy_file(HELPER, OWN "/mapped", 0755);
        return r < 0 ? attempt_void(r, "copy helper") : try_mmap_exec(OWN "/mapped");
}

static struct outcome mprotect_exec_written(void)
{
        int r = copy_file(HELPER, OWN "/mapped", 0755);
        return r < 0 ? attempt_void(r, "copy helper") : try_mprotect_exec(OWN "/mapped");
}

static struct outcome overlay_new(void)
{
        return try_overlay(PAYLOAD, SCRATCH "/overlay", NULL, "helper", OVERLAY_RUN_NEW);
}

static struct outcome overlay_copied_up(void)
{
        return try_overlay(PAYLOAD, SCRATCH "/overlay", NULL, "helper", OVERLAY_RUN_COPIED_UP);
}

static struct outcome overlay_metacopy(void)
{
        return try_overlay(PAYLOAD, SCRATCH "/overlay", "metacopy=on", "helper", OVERLAY_SETUID);
}

static struct outcome old_initramfs(void)
{
        return try_old_initramfs(HELPER);
}

static const struct tap_row written[] = {
        {"copy of a program on /tmp", copy_tmp, "mount option|SELinux|IPE", EACCES},
        {"copy of a program on a tmpfs of one's own", copy_own_tmpfs, "SELinux|IPE", EACCES},
        {"copy of a program on /var", copy_var, "mount option|SELinux|IPE", EACCES},
        {"copy of a program on /run", copy_run, "mount option|SELinux|IPE", EACCES},
        {"copy of a program on /dev/shm", copy_shm, "mount option|SELinux|IPE", EACCES},
        {"program in a memfd", exec_memfd, "SELinux|IPE", EACCES},
        {"script that was written, by name", script_tmp, "SELinux|IPE", EACCES},
        {"ld.so with a program that was written", ld_so_written, "SELinux|IPE", EACCES},
        {"LD_PRELOAD of a library that was written", preload_written, "SELinux|IPE", EACCES},
        {"mmap RX of a file that was written", mmap_exec_written, "SELinux|IPE", EACCES},
        {"mprotect RX of a file that was written", mprotect_exec_written, "SELinux|IPE", EACCES},
        {"program new in an overlay", overlay_new, "SELinux|IPE", EACCES},
        {"program copied up in an overlay", overlay_copied_up, "SELinux|IPE", EACCES},
        {"setuid by metacopy in an overlay", overlay_metacopy, "SELinux|IPE", EACCES},
        {"program written to the old initramfs", old_initramfs, "SELinux|IPE", EACCES},
};

/* Memory */

static struct outcome rx_to_rwx(void)
{
        return try_rx_to_rwx(HELPER);
}

static struct outcome private_write_then_rx(void)
{
        return try_private_write_then_rx(HELPER);
}

static const struct tap_row memory[] = {
        {"anonymous RWX memory", try_anonymous_rwx, "SELinux|IPE", EACCES},
        {"anonymous RW memory made RX", try_anonymous_rw_then_rx, "SELinux|IPE", EACCES},
        {"RX mapping of a signed file made RWX", rx_to_rwx, "SELinux", EACCES},
        {"private mapping written, then RX", private_write_then_rx, "SELinux", EACCES},
        {"/proc/self/mem into text", try_proc_mem_text, "proc_mem.force_override|SELinux", EIO},
        {"ptrace POKE into text", try_ptrace_poke_text, "Yama|SELinux", EPERM},
        {"/dev/mem", try_memory_device, "SELinux|lockdown", EPERM},
};

/* Layers */

static struct outcome verity_missing(void)
{
        return try_verity(LAYER, NULL);
}

static struct outcome verity_foreign(void)
{
        return try_verity(LAYER, PAYLOAD "/images/layer.foreign.p7s");
}

static struct outcome verity_flipped(void)
{
        return try_verity(LAYER, PAYLOAD "/images/layer.flipped.p7s");
}

static struct outcome verity_other(void)
{
        return try_verity(LAYER, PAYLOAD "/images/other.p7s");
}

/* The kernel takes any key of db: what stops this one is that only osguard and groupd, who look at the
 * purpose, may mount what is executable. */
static struct outcome verity_other_purpose(void)
{
        return try_verity_run(LAYER, PAYLOAD "/images/layer.manifest.p7s", MOUNTPOINT, NULL, "helper",
                              HELPER_RAN);
}

static struct outcome second_device(void)
{
        char blob[32], options[64];

        _cleanup_close_ int loop = loop_attach(PAYLOAD "/images/multi.evil", blob);
        if (loop < 0)
                return attempt_refused(loop, "loop device");
        (void)snprintf(options, sizeof(options), "device=%s", blob);
        return try_verity_run(PAYLOAD "/images/multi.img", PAYLOAD "/images/multi.p7s", MOUNTPOINT, options,
                              "helper", STRANGER_RAN);
}

static struct outcome fuseblk(void)
{
        struct verity_geometry g;
        char device[32], dm[32];

        int r = verity_read_geometry(PAYLOAD "/images/layer.verity", &g);
        if (r < 0)
                return attempt_void(r, "geometry");
        _cleanup_close_ int loop = loop_attach(LAYER, device);
        if (loop < 0)
                return attempt_void(loop, "loop device");
        struct outcome o = verity_open("fuseblk", device, &g, PAYLOAD "/images/layer.p7s", dm);
        if (o.verdict != ATTEMPT_WORKED)
                return attempt_void(o.error, "open signed device");
        o = try_fuseblk(dm, PAYLOAD "/stranger", MOUNTPOINT, STRANGER_RAN);
        r = dm_remove("fuseblk");
        return r < 0 ? attempt_void(r, "remove device") : o;
}

static const struct tap_row layers[] = {
        {"layer without signature", verity_missing, "dm-verity", 0},
        {"layer signed by a foreign key", verity_foreign, "dm-verity", 0},
        {"layer with one bit flipped in its signature", verity_flipped, "dm-verity", 0},
        {"layer with another layer's signature", verity_other, "dm-verity", 0},
        {"program on a layer signed by our key of another purpose", verity_other_purpose, "SELinux", EACCES},
        {"EROFS with a second, changed device", second_device, "SELinux", EACCES},
        {"fuseblk over a signed device", fuseblk, "SELinux", EACCES},
};

/* The kernel and its policies */

static struct outcome module_signed(void)
{
        return try_finit_module(PAYLOAD "/dummy.ko", "dummy");
}

static struct outcome module_buffer(void)
{
        return try_init_module(PAYLOAD "/dummy.ko", "dummy");
}

static struct outcome kexec_file(void)
{
        return try_kexec_file_load(HELPER);
}

static struct outcome ipe_load_unsigned(void)
{
        return try_ipe_load_policy(PAYLOAD "/policy/unsigned.pol", "holdfast_unsigned");
}

static struct outcome ipe_load_signed(void)
{
        return try_ipe_load_policy(PAYLOAD "/policy/holdfast_purpose.p7b", "holdfast_purpose");
}

static struct outcome ipe_delete(void)
{
        return try_ipe_delete("holdfast_host");
}

static struct outcome ima_policy(void)
{
        return try_ima_policy("dont_measure func=CRITICAL_DATA\n");
}

static struct outcome core_pattern(void)
{
        return try_core_pattern(HELPER, SCRATCH "/core-answer");
}

static const struct tap_row kernel[] = {
        {"stock module from the signed disk", module_signed, "SELinux|IPE|modules_disabled", EPERM},
        {"stock module from a buffer", module_buffer, "SELinux|IPE|modules_disabled", EPERM},
        {"kexec_load", try_kexec_load, "kexec_load_disabled|lockdown", EPERM},
        {"kexec_file_load", kexec_file, "kexec_load_disabled|IPE", EPERM},
        {"IPE turned off", try_ipe_off, "SELinux", EACCES},
        {"IPE's descriptor kept open across the loss of the capability", try_ipe_leaked_descriptor, "SELinux",
         EACCES},
        {"IPE policy without signature", ipe_load_unsigned, "SELinux", EACCES},
        {"another IPE policy, signed by our own key", ipe_load_signed, "SELinux", EACCES},
        {"IPE's policy deleted", ipe_delete, "SELinux", EACCES},
        {"SELinux turned off", try_selinux_off, "SELinux", EACCES},
        {"SELinux policy loaded again", try_selinux_load_policy, "SELinux", EACCES},
        {"IMA's policy written", ima_policy, "SELinux|IMA", ENOENT},
        {"usermode helper by core_pattern", core_pattern, "SELinux", EACCES},
        {"user namespace", try_user_namespace, "SELinux", EACCES},
};

/* Labels: who runs as what, and which file says that it was verified. */

#define DOMAIN(type) "system_u:system_r:" type ":s0-s0:c0.c1023"
#define CONTAINER "system_u:system_r:container_t:s0:c1,c2"
#define FILE_LABEL(type) "system_u:object_r:" type ":s0"

static struct outcome become_init(void)
{
        return try_attribute("current", DOMAIN("init_t"));
}

static struct outcome exec_as_osguard(void)
{
        return try_exec_as(DOMAIN("osguard_t"), HELPER, HELPER_RAN);
}

static struct outcome exec_as_container(void)
{
        return try_exec_as(CONTAINER, HELPER, HELPER_RAN);
}

static struct outcome exec_systemd(void)
{
        return try_exec("/usr/lib/systemd/systemd", 0);
}

static struct outcome exec_crun(void)
{
        return try_exec("/usr/bin/crun", 0);
}

static struct outcome create_as_image(void)
{
        return try_create_as(FILE_LABEL("os_t"), SCRATCH "/labelled");
}

static struct outcome relabel_to_layer(void)
{
        return try_relabel(SCRATCH, FILE_LABEL("layer_t"));
}

static struct outcome mount_as_layer(void)
{
        return try_mount("attempt", MOUNTPOINT, "tmpfs", 0, "context=" FILE_LABEL("layer_t"));
}

static struct outcome make_node(void)
{
        return try_node(SCRATCH "/node", S_IFCHR, 1, 1);
}

static const struct tap_row labels[] = {
        {"another domain without exec", become_init, "SELinux", EACCES},
        {"osguard's domain by exec", exec_as_osguard, "SELinux", EACCES},
        {"a container's domain by exec", exec_as_container, "SELinux", EACCES},
        {"systemd in one's own domain", exec_systemd, "SELinux", EACCES},
        {"crun in one's own domain", exec_crun, "SELinux", EACCES},
        {"a file made with the image's label", create_as_image, "SELinux", EACCES},
        {"a file relabelled as a layer's", relabel_to_layer, "SELinux", EACCES},
        {"a tmpfs mounted as a layer", mount_as_layer, "SELinux", EACCES},
        {"a node for the memory device", make_node, "SELinux", EACCES},
};

/* Objects that change the machine. What is only opened is not changed, were it allowed. */

static struct outcome open_tpm(void)
{
        return try_open("/dev/tpm0", O_RDWR);
}

static struct outcome open_tpm_manager(void)
{
        return try_open("/dev/tpmrm0", O_RDWR);
}

static struct outcome open_fuse(void)
{
        return try_open("/dev/fuse", O_RDWR);
}

static struct outcome open_kcore(void)
{
        return try_open("/proc/kcore", O_RDONLY);
}

static struct outcome open_sysrq(void)
{
        return try_open("/proc/sysrq-trigger", O_WRONLY);
}

static struct outcome open_modprobe(void)
{
        return try_open("/proc/sys/kernel/modprobe", O_WRONLY);
}

static struct outcome open_bounding_set(void)
{
        return try_open("/proc/sys/kernel/usermodehelper/bset", O_WRONLY);
}

static struct outcome open_new_policy(void)
{
        return try_open("/sys/kernel/security/ipe/new_policy", O_WRONLY);
}

static struct outcome open_active(void)
{
        return try_open("/sys/kernel/security/ipe/policies/holdfast_host/active", O_WRONLY);
}

static struct outcome write_checkreqprot(void)
{
        return try_write("/sys/fs/selinux/checkreqprot", "0");
}

static struct outcome write_booleans(void)
{
        return try_write("/sys/fs/selinux/commit_pending_bools", "1");
}

static struct outcome write_cache_threshold(void)
{
        return try_write("/sys/fs/selinux/avc/cache_threshold", "512");
}

static struct outcome open_memory_of_init(void)
{
        return try_open("/proc/1/mem", O_RDONLY);
}

static const struct tap_row objects[] = {
        {"the TPM", open_tpm, "SELinux", EACCES},
        {"the TPM by its resource manager", open_tpm_manager, "SELinux", EACCES},
        {"/dev/fuse", open_fuse, "SELinux", EACCES},
        {"/proc/kcore", open_kcore, "SELinux", EACCES},
        {"/proc/sysrq-trigger", open_sysrq, "SELinux", EACCES},
        {"the setting that names modprobe", open_modprobe, "SELinux", EACCES},
        {"the capabilities of usermode helpers", open_bounding_set, "SELinux", EACCES},
        {"IPE's new_policy", open_new_policy, "SELinux", EACCES},
        {"the active IPE policy's switch", open_active, "SELinux", EACCES},
        {"SELinux's checkreqprot", write_checkreqprot, "SELinux", EACCES},
        {"SELinux's booleans", write_booleans, "SELinux", EACCES},
        {"SELinux's parameters", write_cache_threshold, "SELinux", EACCES},
        {"the memory of PID 1", open_memory_of_init, "Yama|SELinux", EACCES},
        {"a performance counter", try_perf_event, "SELinux", EACCES},
        {"a BPF map", try_bpf_map, "SELinux", EACCES},
};

/* SELinux is asked before IPE, so most refusals above are SELinux's; that IPE stands behind it is seen here,
 * and that it refuses by itself in tests/vm/bare. */
static void check_state(void)
{
        static const struct {
                const char *path, *content, *name;
        } states[] = {
                {"/sys/kernel/security/ipe/enforce", "1", "IPE enforces"},
                {"/sys/kernel/security/ipe/policies/holdfast_host/active", "1",
                 "IPE's host policy is active"},
                {"/sys/kernel/security/ipe/policies/holdfast_boot/active", NULL, "IPE's boot policy is gone"},
                {"/sys/fs/selinux/enforce", "1", "SELinux enforces"},
                {"/proc/sys/kernel/modules_disabled", "1", "module loading is closed"},
                {"/proc/sys/kernel/yama/ptrace_scope", "3", "ptrace is closed"},
                {"/sys/module/dm_verity/parameters/require_signatures", "Y", "dm-verity requires signatures"},
        };

        for (size_t i = 0; i < ELEMENTSOF(states); i++) {
                _cleanup_free_ char *found = NULL;
                char name[128];
                int r = read_file(AT_FDCWD, states[i].path, 4096, &found, NULL, NULL);
                bool ok = states[i].content ? r == 0 && strncmp(found, states[i].content, 1) == 0
                                            : r == -ENOENT;

                (void)snprintf(name, sizeof(name), "state: %s", states[i].name);
                tap_check(&tap, ok, name, ok ? NULL : r < 0 ? strerror(-r) : found);
        }
}

static void check_bounding_set(void)
{
        tap_check(&tap, prctl(PR_CAPBSET_READ, CAP_MAC_ADMIN, 0, 0, 0) == 0,
                  "kernel: CAP_MAC_ADMIN is not in the bounding set", NULL);
}

static int prepare(void)
{
        for (const char *const *d = (const char *const[]){SCRATCH, OWN, MOUNTPOINT, NULL}; *d; d++)
                if (mkdir(*d, 0755) < 0 && errno != EEXIST)
                        return -errno;
        if (mount("attempts", OWN, "tmpfs", 0, "size=64m") < 0)
                return -errno;
        /* Every record is wanted, also in a burst. */
        return write_text("/proc/sys/kernel/printk_ratelimit", "0");
}

/* Sends the signal, 0 for none, to the processes with that name. Returns to how many it could. */
static unsigned signal_named(const char *name, int signal)
{
        _cleanup_closedir_ DIR *proc = opendir("/proc");
        unsigned n = 0;

        for (const struct dirent *entry; proc && (entry = readdir(proc));) {
                _cleanup_free_ char *found = NULL;
                char path[300];
                char *end;
                long pid = strtol(entry->d_name, &end, 10);

                if (*end != '\0' || pid <= 1)
                        continue;
                (void)snprintf(path, sizeof(path), "/proc/%ld/comm", pid);
                if (read_file(AT_FDCWD, path, 64, &found, NULL, NULL) < 0)
                        continue;
                found[strcspn(found, "\n")] = '\0';
                if (strcmp(found, name) == 0 && kill((pid_t)pid, signal) == 0)
                        n++;
        }
        return n;
}

/* Prints the lines of a file that contain text. */
static unsigned print_lines(const char *path, const char *text)
{
        _cleanup_fclose_ FILE *f = fopen(path, "re");
        char line[1024];
        unsigned n = 0;

        while (f && fgets(line, sizeof(line), f))
                if (strstr(line, text)) {
                        fprintf(tap.out, "record: %s", line);
                        n++;
                }
        return n;
}

/* The machine's evidence, as whoever asks for it with a nonce would get it. */
static void print_evidence(const char *nonce)
{
        _cleanup_free_ char *option = NULL;
        char buffer[4096];
        pid_t pid;
        ssize_t n;
        int ends[2], pidfd, r;

        if (asprintf(&option, "--nonce=%s", nonce) < 0 || pipe2(ends, O_CLOEXEC) < 0)
                return;
        r = process_spawn((char *[]){(char *)"/usr/bin/attest", (char *)"evidence", option, NULL},
                          &(struct process_options){.stdio = (int[]){-1, ends[1], ends[1]}}, &pid, &pidfd,
                          NULL);
        (void)close(ends[1]);
        while (r >= 0 && (n = read(ends[0], buffer, sizeof(buffer))) > 0)
                (void)fwrite(buffer, 1, (size_t)n, tap.out);
        (void)close(ends[0]);
        fprintf(tap.out, "\nend of evidence\n");
}

static void answer(char *command)
{
        char *word[3] = {NULL}, *save = NULL;

        word[0] = strtok_r(command, " \n", &save);
        word[1] = strtok_r(NULL, " \n", &save);
        word[2] = strtok_r(NULL, "\n", &save);
        if (!word[0] || !word[1])
                return;
        if (strcmp(word[0], "kill") == 0)
                fprintf(tap.out, "killed %u of %s\n", signal_named(word[1], SIGKILL), word[1]);
        else if (strcmp(word[0], "see") == 0)
                fprintf(tap.out, "seen %u of %s\n", signal_named(word[1], 0), word[1]);
        else if (strcmp(word[0], "records") == 0)
                fprintf(tap.out, "%u records of %s\n", tap_records(&tap, word[1]), word[1]);
        else if (strcmp(word[0], "evidence") == 0)
                print_evidence(word[1]);
        else if (strcmp(word[0], "lines") == 0 && word[2])
                fprintf(tap.out, "%u lines of %s\n", print_lines(word[1], word[2]), word[1]);
        fflush(tap.out);
}

/* Lines from the host, after the attempts: `kill NAME`, `see NAME`, `records TEXT`, `lines FILE TEXT`. Ends
 * when nobody holds the other end. */
static void serve(void)
{
        char command[128];

        for (;;) {
                ssize_t n = read(fileno(tap.out), command, sizeof(command) - 1);
                if (n <= 0)
                        return;
                command[n] = '\0';
                answer(command);
        }
}

int main(void)
{
        FILE *out = tap_open_port("io.holdfast.payload");

        tap_start(&tap, out ? out : stdout);
        int r = prepare();
        if (r < 0) {
                fprintf(tap.out, "Bail out! prepare " SCRATCH ": %s\n", strerror(-r));
                return 1;
        }
        tap_rows(&tap, "allowed", allowed, ELEMENTSOF(allowed));
        tap_rows(&tap, "written files", written, ELEMENTSOF(written));
        tap_rows(&tap, "memory", memory, ELEMENTSOF(memory));
        tap_rows(&tap, "layers", layers, ELEMENTSOF(layers));
        tap_rows(&tap, "kernel", kernel, ELEMENTSOF(kernel));
        tap_rows(&tap, "labels", labels, ELEMENTSOF(labels));
        tap_rows(&tap, "objects", objects, ELEMENTSOF(objects));
        check_bounding_set();
        check_state();
        (void)umount2(OWN, MNT_DETACH);
        r = tap_finish(&tap);
        if (out)
                serve();
        return r;
}
