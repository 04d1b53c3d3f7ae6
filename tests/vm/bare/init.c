/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The init of the bare-kernel guest: the stock kernel's layers alone, without firmware's Secure Boot, systemd
 * or SELinux. What is "not stopped" here is what IPE by itself lets through; the image must close it
 * elsewhere, and tests/vm/guest/payload.c shows that it does. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "ipe-policy/observe.h"
#include "tests/vm/bare/ipescript.h"
#include "tests/vm/bare/verityopen.h"
#include "tests/vm/guest/attempts.h"
#include "tests/vm/guest/tap.h"
#include "tests/vm/guest/verity.h"

#define BOOT_POLICY "holdfast_boot"
#define HOST_POLICY "holdfast_host"
#define ROOTHASH_POLICY "holdfast_roothash"
#define NAMED_POLICY "holdfast_named"
#define LD_SO "/signed/ld.so"
#define MODULE "/module/dummy.ko"

static struct tap tap;

/* The images that stay open for the whole run. */
static int tools_loop = -1;
static char tools_device[32], tools_dm[32], tools_second_dm[32];
static struct verity_geometry tools;

/* Ends the run: without plan and with a bail-out the runner knows that the guest did not come through. */
static _Noreturn void bail_out(const char *what, int error)
{
        fprintf(tap.out, "Bail out! %s: %s\n", what, strerror(error < 0 ? -error : error));
        fflush(tap.out);
        sync();
        (void)reboot(RB_POWER_OFF);
        _exit(1);
}

static void must(int r, const char *what)
{
        if (r < 0)
                bail_out(what, r);
}

static void must_mount(const char *source, const char *target, const char *type, unsigned long flags,
                       const char *options)
{
        if (mkdir(target, 0755) < 0 && errno != EEXIST)
                bail_out(target, errno);
        if (mount(source, target, type, flags, options) < 0)
                bail_out(target, errno);
}

static void must_work(struct outcome o, const char *what)
{
        if (o.verdict != ATTEMPT_WORKED)
                bail_out(what, o.error);
}

/* Surroundings */

static int load_module(const char *path, const char *parameters)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        if (syscall(SYS_finit_module, fd, parameters, 0) < 0 && errno != EEXIST)
                return -errno;
        return 0;
}

/* /modules/order lists the files in the order of their dependencies, one a line. */
static void load_modules(void)
{
        _cleanup_free_ char *order = NULL;
        char path[256], *save = NULL;

        must(read_file(AT_FDCWD, "/modules/order", 65536, &order, NULL, NULL), "/modules/order");
        for (char *line = strtok_r(order, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
                (void)snprintf(path, sizeof(path), "/modules/%s", line);
                must(load_module(path, strstr(line, "dm-verity") ? "require_signatures=1" : ""), line);
        }
}

static void prepare(void)
{
        must_mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
        must_mount("proc", "/proc", "proc", 0, NULL);
        must_mount("sysfs", "/sys", "sysfs", 0, NULL);
        must_mount("securityfs", "/sys/kernel/security", "securityfs", 0, NULL);
        must_mount("tmpfs", "/tmp", "tmpfs", 0, NULL);
        for (const char *const *d = (const char *const[]){"/signed", "/mnt", "/plain", "/overlay", NULL}; *d;
             d++)
                if (mkdir(*d, 0755) < 0 && errno != EEXIST)
                        bail_out(*d, errno);
        /* Every record is wanted, also in a burst. */
        must(write_text("/proc/sys/kernel/printk_ratelimit", "0"), "printk_ratelimit");
}

/* Signatures of root hashes, before any policy */

static struct outcome open_tools(const char *name, const char *signature, char ret_path[32])
{
        return verity_open(name, tools_device, &tools, signature, ret_path);
}

static struct outcome signature_right(void)
{
        return try_verity("/images/tools.img", "/images/tools.p7s");
}

static struct outcome signature_missing(void)
{
        return try_verity("/images/tools.img", NULL);
}

static struct outcome signature_foreign(void)
{
        return try_verity("/images/tools.img", "/images/tools.foreign.p7s");
}

static struct outcome signature_other_layer(void)
{
        return try_verity("/images/tools.img", "/images/other.p7s");
}

static struct outcome signature_flipped(void)
{
        return try_verity("/images/tools.img", "/images/tools.flipped.p7s");
}

static struct outcome signature_other_purpose(void)
{
        return try_verity("/images/tools.img", "/images/tools.manifest.p7s");
}

static struct outcome other_right(void)
{
        return try_verity("/images/other.img", "/images/other.p7s");
}

static const struct tap_row signature_rows[] = {
        {"layer with its signature is opened", signature_right, NULL, 0},
        {"another layer with its signature is opened", other_right, NULL, 0},
        {"layer without signature (require_signatures=1)", signature_missing, "dm-verity", 0},
        {"layer signed by a foreign key", signature_foreign, "dm-verity", 0},
        {"layer with another layer's signature", signature_other_layer, "dm-verity", 0},
        {"layer with one bit flipped in its signature", signature_flipped, "dm-verity", 0},
        /* The kernel knows no purposes: the loader has to. */
        {"layer signed by our key of another purpose is NOT stopped by the kernel", signature_other_purpose,
         NULL, 0},
};

/* A copy of the tools image with one byte changed at the offset in field `which` of tools.flip, opened and
 * run. */
static struct outcome run_flipped(unsigned which)
{
        _cleanup_free_ char *text = NULL;
        unsigned long offset[2];
        char byte;

        if (read_file(AT_FDCWD, "/images/tools.flip", 64, &text, NULL, NULL) < 0 ||
            sscanf(text, "%lu %lu", &offset[0], &offset[1]) != 2)
                return attempt_void(EBADMSG, "/images/tools.flip");
        must(copy_file("/images/tools.img", "/images/flipped.img", 0600), "copy image");
        must(copy_file("/images/tools.verity", "/images/flipped.verity", 0600), "copy geometry");
        _cleanup_close_ int image = open("/images/flipped.img", O_RDWR | O_CLOEXEC);
        if (image < 0 || pread_full(image, &byte, 1, offset[which]) < 0)
                return attempt_void(errno, "read image");
        byte ^= 1;
        if (pwrite_full(image, &byte, 1, offset[which]) < 0)
                return attempt_void(errno, "flip image");
        return try_verity_run("/images/flipped.img", "/images/tools.p7s", "/mnt", NULL, "helper", HELPER_RAN);
}

static struct outcome flipped_data(void)
{
        struct outcome o = run_flipped(0);
        (void)unlink("/images/flipped.img");
        return o;
}

static struct outcome flipped_tree(void)
{
        struct outcome o = run_flipped(1);
        (void)unlink("/images/flipped.img");
        return o;
}

static const struct tap_row integrity_rows[] = {
        {"one bit flipped in a layer's data", flipped_data, "dm-verity", EIO},
        {"one bit flipped in a layer's tree", flipped_tree, "dm-verity", EIO},
};

/* What is tried before the policy (where it must work: the attempt itself is sound), and under it. */

static struct outcome exec_initramfs(void)
{
        return try_exec("/helper", HELPER_RAN);
}

static struct outcome exec_written_to_initramfs(void)
{
        return try_exec_copy("/helper", "/", HELPER_RAN);
}

static struct outcome exec_signed(void)
{
        return try_exec("/signed/helper", HELPER_RAN);
}

static struct outcome exec_fd_signed(void)
{
        return try_exec_fd("/signed/helper", HELPER_RAN);
}

static struct outcome exec_copy_tmpfs(void)
{
        return try_exec_copy("/signed/helper", "/tmp", HELPER_RAN);
}

static struct outcome exec_memfd(void)
{
        return try_exec_memfd("/signed/helper", HELPER_RAN);
}

static struct outcome exec_plain_erofs(void)
{
        return try_exec("/plain/helper", HELPER_RAN);
}

static struct outcome script_signed(void)
{
        return try_exec("/signed/script", HELPER_RAN);
}

static struct outcome script_tmpfs(void)
{
        return try_exec_script("/signed/helper", "/tmp");
}

static struct outcome script_interpreted(void)
{
        return try_interpret_script("/signed/helper", "/tmp");
}

static struct outcome ld_so_signed(void)
{
        return try_ld_so(LD_SO, "/signed", "/signed/dynamic");
}

static struct outcome ld_so_tmpfs(void)
{
        must(copy_file("/signed/dynamic", "/tmp/dynamic", 0755), "copy dynamic");
        return try_ld_so(LD_SO, "/signed", "/tmp/dynamic");
}

static struct outcome preload_signed(void)
{
        return try_ld_preload(LD_SO, "/signed", "/signed/dynamic", "/signed/preload.so");
}

static struct outcome preload_tmpfs(void)
{
        must(copy_file("/signed/preload.so", "/tmp/preload.so", 0755), "copy preload.so");
        return try_ld_preload(LD_SO, "/signed", "/signed/dynamic", "/tmp/preload.so");
}

static struct outcome mmap_exec_signed(void)
{
        return try_mmap_exec("/signed/helper");
}

static struct outcome mmap_exec_tmpfs(void)
{
        must(copy_file("/signed/helper", "/tmp/mapped", 0755), "copy helper");
        return try_mmap_exec("/tmp/mapped");
}

static struct outcome mprotect_exec_signed(void)
{
        return try_mprotect_exec("/signed/helper");
}

static struct outcome mprotect_exec_tmpfs(void)
{
        must(copy_file("/signed/helper", "/tmp/mapped", 0755), "copy helper");
        return try_mprotect_exec("/tmp/mapped");
}

static struct outcome overlay_lower(void)
{
        return try_overlay("/signed", "/overlay", NULL, "helper", OVERLAY_RUN_LOWER);
}

static struct outcome overlay_copied_up(void)
{
        return try_overlay("/signed", "/overlay", NULL, "helper", OVERLAY_RUN_COPIED_UP);
}

static struct outcome overlay_new(void)
{
        return try_overlay("/signed", "/overlay", NULL, "helper", OVERLAY_RUN_NEW);
}

static struct outcome overlay_setuid(void)
{
        return try_overlay("/signed", "/overlay", "metacopy=off", "helper", OVERLAY_SETUID);
}

static struct outcome overlay_setuid_metacopy(void)
{
        return try_overlay("/signed", "/overlay", "metacopy=on", "helper", OVERLAY_SETUID);
}

static struct outcome verity_unsigned(void)
{
        return try_verity_run("/images/tools.img", NULL, "/mnt", NULL, "helper", HELPER_RAN);
}

static struct outcome linear_over_signed(void)
{
        char dm[32];

        struct outcome o = linear_open("linear", tools_second_dm, dm);
        if (o.verdict != ATTEMPT_WORKED)
                return o;
        o = try_mount_run(dm, "/mnt", "erofs", NULL, "helper", HELPER_RAN);
        return dm_remove("linear") < 0 ? attempt_void(EBUSY, "remove device") : o;
}

static struct outcome loop_inside_signed(void)
{
        char device[32];

        _cleanup_close_ int loop = loop_attach("/signed/nested.img", device);
        if (loop < 0)
                return attempt_void(loop, "loop");
        return try_mount_run(device, "/mnt", "erofs", NULL, "helper", HELPER_RAN);
}

static struct outcome file_backed_erofs(void)
{
        return try_mount_run("/signed/nested.img", "/mnt", "erofs", NULL, "helper", HELPER_RAN);
}

static struct outcome fuseblk(void)
{
        return try_fuseblk(tools_second_dm, "/stranger", "/mnt", STRANGER_RAN);
}

static struct outcome second_device(void)
{
        char blob[32], options[64];

        _cleanup_close_ int loop = loop_attach("/images/multi.evil", blob);
        if (loop < 0)
                return attempt_void(loop, "loop");
        (void)snprintf(options, sizeof(options), "device=%s", blob);
        return try_verity_run("/images/multi.img", "/images/multi.p7s", "/mnt", options, "helper",
                              STRANGER_RAN);
}

static struct outcome rx_to_rwx(void)
{
        return try_rx_to_rwx("/signed/helper");
}

static struct outcome private_write_then_rx(void)
{
        return try_private_write_then_rx("/signed/helper");
}

static struct outcome module_stock(void)
{
        return try_finit_module(MODULE, "dummy");
}

static struct outcome module_from_signed(void)
{
        return try_finit_module("/signed/dummy.ko", "dummy");
}

static struct outcome module_buffer(void)
{
        return try_init_module(MODULE, "dummy");
}

static struct outcome module_unsigned(void)
{
        return try_finit_module("/module/unsigned.ko", "dummy");
}

static struct outcome kexec_file_ours(void)
{
        return try_kexec_file_load("/plain/vmlinuz");
}

static struct outcome kexec_file_foreign(void)
{
        return try_kexec_file_load("/plain/vmlinuz.foreign");
}

static struct outcome core_pattern_signed(void)
{
        return try_core_pattern("/signed/helper", "/tmp/core-answer");
}

static struct outcome core_pattern_tmpfs(void)
{
        must(copy_file("/signed/helper", "/tmp/umh", 0755), "copy helper");
        return try_core_pattern("/tmp/umh", "/tmp/core-answer");
}

/* Each denial of the tables below has its twin here: without a policy the same attempt works. */
static const struct tap_row twin_rows[] = {
        {"copy of a program on tmpfs runs", exec_copy_tmpfs, NULL, 0},
        {"memfd runs", exec_memfd, NULL, 0},
        {"program on an unsigned EROFS disk runs", exec_plain_erofs, NULL, 0},
        {"script on tmpfs runs", script_tmpfs, NULL, 0},
        {"ld.so runs a program on tmpfs", ld_so_tmpfs, NULL, 0},
        {"LD_PRELOAD of a library on tmpfs", preload_tmpfs, NULL, 0},
        {"mmap RX of a file on tmpfs", mmap_exec_tmpfs, NULL, 0},
        {"mprotect RX of a file on tmpfs", mprotect_exec_tmpfs, NULL, 0},
        {"anonymous RWX memory", try_anonymous_rwx, NULL, 0},
        {"anonymous RW memory made RX", try_anonymous_rw_then_rx, NULL, 0},
        {"program copied up in an overlay runs", overlay_copied_up, NULL, 0},
        {"program new in an overlay runs", overlay_new, NULL, 0},
        {"setuid by copy-up in an overlay", overlay_setuid, NULL, 0},
        {"program on a verity device opened without signature runs", verity_unsigned, NULL, 0},
        {"program through dm-linear over a signed device runs", linear_over_signed, NULL, 0},
        {"program on a loop device inside a signed image runs", loop_inside_signed, NULL, 0},
        {"program on a file-backed EROFS inside a signed image runs", file_backed_erofs, NULL, 0},
        {"usermode helper on tmpfs runs", core_pattern_tmpfs, NULL, 0},
        {"stock module is loaded", module_stock, NULL, 0},
        {"stock module is loaded from a buffer", module_buffer, NULL, 0},
        {"module without signature", module_unsigned, "lockdown|module signature", EKEYREJECTED},
        {"kexec_load (lockdown)", try_kexec_load, "lockdown", EPERM},
        {"kexec_file_load of a kernel signed for db is NOT stopped", kexec_file_ours, NULL, 0},
        {"kexec_file_load of a kernel signed by a foreign key", kexec_file_foreign, "lockdown|kernel",
         EKEYREJECTED},
};

static const struct tap_row boot_policy_rows[] = {
        {"program of the initramfs runs", exec_initramfs, NULL, 0},
        {"program written to the initramfs later is NOT stopped", exec_written_to_initramfs, NULL, 0},
        {"program of a signed layer", exec_signed, "IPE", EACCES},
        {"copy of a program on tmpfs", exec_copy_tmpfs, "IPE", EACCES},
        {"stock module", module_stock, "IPE", EACCES},
};

/* Under the host policy: what runs … */
static const struct tap_row allowed_rows[] = {
        {"program of a signed layer runs", exec_signed, NULL, 0},
        {"descriptor of a signed program runs", exec_fd_signed, NULL, 0},
        {"script of a signed layer runs", script_signed, NULL, 0},
        {"ld.so runs a signed program", ld_so_signed, NULL, 0},
        {"LD_PRELOAD of a signed library", preload_signed, NULL, 0},
        {"mmap RX of a signed file", mmap_exec_signed, NULL, 0},
        {"mprotect RX of a signed file", mprotect_exec_signed, NULL, 0},
        {"program of the lower of an overlay runs", overlay_lower, NULL, 0},
        {"/proc/self/mem writes data", try_proc_mem_data, NULL, 0},
};

/* … what IPE refuses … */
static const struct tap_row denied_rows[] = {
        {"program of the initramfs", exec_initramfs, "IPE", EACCES},
        {"program written to the initramfs", exec_written_to_initramfs, "IPE", EACCES},
        {"copy of a program on tmpfs", exec_copy_tmpfs, "IPE", EACCES},
        {"memfd", exec_memfd, "IPE", EACCES},
        {"program on an unsigned EROFS disk", exec_plain_erofs, "IPE", EACCES},
        {"script on tmpfs by name", script_tmpfs, "IPE", EACCES},
        {"ld.so with a program on tmpfs", ld_so_tmpfs, "IPE", EACCES},
        {"LD_PRELOAD of a library on tmpfs", preload_tmpfs, "IPE", EACCES},
        {"mmap RX of a file on tmpfs", mmap_exec_tmpfs, "IPE", EACCES},
        {"mprotect RX of a file on tmpfs", mprotect_exec_tmpfs, "IPE", EACCES},
        {"anonymous RWX memory", try_anonymous_rwx, "IPE", EACCES},
        {"anonymous RW memory made RX", try_anonymous_rw_then_rx, "IPE", EACCES},
        {"program copied up in an overlay", overlay_copied_up, "IPE", EACCES},
        {"program new in an overlay", overlay_new, "IPE", EACCES},
        {"setuid by copy-up in an overlay", overlay_setuid, "IPE", EACCES},
        {"program on a verity device opened without signature", verity_unsigned, "IPE", EACCES},
        {"program through dm-linear over a signed device", linear_over_signed, "IPE", EACCES},
        {"program on a loop device inside a signed image", loop_inside_signed, "IPE", EACCES},
        {"program on a file-backed EROFS inside a signed image", file_backed_erofs, "IPE", EACCES},
        {"usermode helper on tmpfs", core_pattern_tmpfs, "IPE", EACCES},
        {"stock module from tmpfs", module_stock, "IPE", EACCES},
        {"stock module from a signed layer", module_from_signed, "IPE", EACCES},
        {"stock module from a buffer", module_buffer, "IPE", EACCES},
        {"module without signature", module_unsigned, "IPE", EACCES},
        {"kexec_file_load of a kernel signed for db", kexec_file_ours, "IPE", EACCES},
};

/* … and what it does not see. */
static const struct tap_row open_rows[] = {
        {"script given to an allowed interpreter is NOT stopped", script_interpreted, NULL, 0},
        {"fuseblk over a signed device is NOT stopped", fuseblk, NULL, 0},
        {"EROFS with a second, changed device is NOT stopped", second_device, NULL, 0},
        {"RX mapping of a signed file made RWX is NOT stopped", rx_to_rwx, NULL, 0},
        {"private mapping written, then RX, is NOT stopped", private_write_then_rx, NULL, 0},
        {"/proc/self/mem into text is NOT stopped", try_proc_mem_text, NULL, 0},
        {"ptrace POKE into text is NOT stopped", try_ptrace_poke_text, NULL, 0},
        {"setuid by metacopy in an overlay is NOT stopped", overlay_setuid_metacopy, NULL, 0},
        {"usermode helper of a signed layer with all capabilities is NOT stopped", core_pattern_signed, NULL,
         0},
        {"IPE turned off by root is NOT stopped", try_ipe_off, NULL, 0},
        {"IPE's leaked descriptor is NOT stopped", try_ipe_leaked_descriptor, NULL, 0},
};

/* IPE's own policies */

static struct outcome load_host(void)
{
        return try_ipe_load_policy("/policy/" HOST_POLICY ".p7b", HOST_POLICY);
}

static struct outcome load_unsigned(void)
{
        return try_ipe_load_policy("/policy/unsigned.pol", "holdfast_unsigned");
}

static struct outcome load_foreign(void)
{
        return try_ipe_load_policy("/policy/holdfast_foreign.p7b", "holdfast_foreign");
}

static struct outcome load_other_purpose(void)
{
        return try_ipe_load_policy("/policy/holdfast_purpose.p7b", "holdfast_purpose");
}

static struct outcome load_twice(void)
{
        return try_ipe_load_policy("/policy/" HOST_POLICY ".p7b", HOST_POLICY);
}

static struct outcome activate_older(void)
{
        must_work(try_ipe_load_policy("/policy/holdfast_old.p7b", "holdfast_old"), "holdfast_old");
        return try_ipe_activate("holdfast_old");
}

static struct outcome activate_host(void)
{
        return try_ipe_activate(HOST_POLICY);
}

static struct outcome delete_boot(void)
{
        return try_ipe_delete(BOOT_POLICY);
}

static struct outcome delete_active(void)
{
        return try_ipe_delete(HOST_POLICY);
}

static const struct tap_row to_host_rows[] = {
        {"host policy is loaded", load_host, NULL, 0},
        {"host policy is activated", activate_host, NULL, 0},
        {"boot policy is deleted", delete_boot, NULL, 0},
};

static const struct tap_row policy_rows[] = {
        {"policy without signature", load_unsigned, "kernel", EBADMSG},
        {"policy signed by a foreign key", load_foreign, "kernel", ENOKEY},
        {"policy signed by our key of another purpose is NOT stopped by the kernel", load_other_purpose, NULL,
         0},
        {"the same policy again", load_twice, "kernel", EEXIST},
        {"activation of an older policy", activate_older, "kernel", EINVAL},
        {"deletion of the active policy", delete_active, "kernel", EPERM},
        {"IPE's files without CAP_MAC_ADMIN", try_ipe_without_capability, "kernel", EPERM},
};

static struct outcome ima_policy(void)
{
        return try_ima_policy("measure func=CRITICAL_DATA\n");
}

static const struct tap_row ima_rows[] = {
        {"IMA's policy is written once", ima_policy, NULL, 0},
        {"IMA's policy a second time", ima_policy, "kernel", ENOENT},
};

static void check_roothash_rule(void)
{
        static const struct tap_row rows[] = {
                {"a roothash rule allows the device opened without signature", verity_unsigned, NULL, 0},
                {"a roothash rule does not allow another image", exec_copy_tmpfs, "IPE", EACCES},
        };

        must_work(try_ipe_load_policy("/policy/" ROOTHASH_POLICY ".p7b", ROOTHASH_POLICY), ROOTHASH_POLICY);
        must_work(try_ipe_activate(ROOTHASH_POLICY), ROOTHASH_POLICY);
        tap_rows(&tap, "roothash policy", rows, ELEMENTSOF(rows));
}

/* Denials by a rule and by an operation's default, for their records' sake. */
static void check_named_rules(void)
{
        static const struct tap_row rows[] = {
                {"a program whose root hash a rule denies", verity_unsigned, "IPE", EACCES},
                {"stock module by its operation's default", module_stock, "IPE", EACCES},
                {"program of a signed layer runs", exec_signed, NULL, 0},
        };

        must_work(try_ipe_load_policy("/policy/" NAMED_POLICY ".p7b", NAMED_POLICY), NAMED_POLICY);
        must_work(try_ipe_activate(NAMED_POLICY), NAMED_POLICY);
        tap_rows(&tap, "named rules", rows, ELEMENTSOF(rows));
}

/* What `ipe-policy eval --path` finds out about files, whose properties are known here. */
static void check_observation(const char *path, bool boot_verified, bool is_signed, const char *root_hash)
{
        struct ipe_observation o;
        struct error e = {};
        char name[128];
        int r = ipe_observe_file(path, &o, &e);

        (void)snprintf(name, sizeof(name), "ipe-policy sees the properties of %s", path);
        tap_check(&tap,
                  r == 0 && o.subject.boot_verified == boot_verified &&
                          o.subject.dmverity_signature == is_signed && strcmp(o.root_hash, root_hash) == 0,
                  name, r < 0 ? e.message : o.root_hash);
}

static void check_observations(void)
{
        char dm[32];

        must(copy_file("/signed/helper", "/tmp/observed", 0755), "copy helper");
        must_work(verity_open("unsigned", tools_device, &tools, NULL, dm), "open tools without signature");
        must_mount(dm, "/mnt", "erofs", MS_RDONLY, NULL);
        check_observation("/helper", true, false, "");
        check_observation("/signed/helper", false, true, tools.root_hash);
        check_observation("/mnt/helper", false, false, tools.root_hash);
        check_observation("/plain/helper", false, false, "");
        check_observation("/tmp/observed", false, false, "");
        if (umount("/mnt") < 0 || dm_remove("unsigned") < 0)
                bail_out("close tools without signature", errno);
}

/* What the image sets at the end of osguard's work, in the same kernel: the attempts above, closed by
 * sysctls. */
static void check_sysctls(void)
{
        static const struct tap_row rows[] = {
                {"ptrace POKE into text (yama.ptrace_scope=3)", try_ptrace_poke_text, "Yama", EPERM},
                {"usermode helper of a signed layer (usermodehelper.bset=0) has no capability",
                 core_pattern_signed, "usermodehelper.bset", EPERM},
                {"kexec_file_load (kexec_load_disabled=1)", kexec_file_ours, "kexec_load_disabled", EPERM},
                {"stock module (modules_disabled=1)", module_stock, "modules_disabled", EPERM},
        };

        must(write_text("/proc/sys/kernel/yama/ptrace_scope", "3"), "ptrace_scope");
        must(write_text("/proc/sys/kernel/usermodehelper/bset", "0 0"), "usermodehelper/bset");
        must(write_text("/proc/sys/kernel/kexec_load_disabled", "1"), "kexec_load_disabled");
        must(write_text("/proc/sys/kernel/modules_disabled", "1"), "modules_disabled");
        tap_rows(&tap, "sysctl", rows, ELEMENTSOF(rows));
}

static void open_images(void)
{
        must(verity_read_geometry("/images/tools.verity", &tools), "tools.verity");
        tools_loop = loop_attach("/images/tools.img", tools_device);
        must(tools_loop, "loop of tools.img");
}

/* From here on, devices without signature are opened, so that it is IPE that must refuse what is on them. */
static void reload_verity_without_requirement(void)
{
        if (syscall(SYS_delete_module, "dm_verity", O_NONBLOCK) < 0)
                bail_out("unload dm_verity", errno);
        must(load_module("/modules/dm-verity.ko", ""), "reload dm_verity");
}

static void check_everything(void)
{
        open_images();
        tap_rows(&tap, "dm-verity", signature_rows, ELEMENTSOF(signature_rows));
        tap_rows(&tap, "dm-verity", integrity_rows, ELEMENTSOF(integrity_rows));
        reload_verity_without_requirement();
        must_work(open_tools("tools", "/images/tools.p7s", tools_dm), "open tools");
        must_work(open_tools("tools-second", "/images/tools.p7s", tools_second_dm), "open tools again");
        must_mount(tools_dm, "/signed", "erofs", MS_RDONLY, NULL);
        must_mount("/dev/vda", "/plain", "erofs", MS_RDONLY, NULL);
        check_verity_open(&tap, "/plain/verity");
        tap_rows(&tap, "no policy", twin_rows, ELEMENTSOF(twin_rows));
        tap_rows(&tap, "IMA", ima_rows, ELEMENTSOF(ima_rows));

        check_observations();
        check_ipe_script(&tap, "/ipe-script");
        must_work(try_ipe_load_policy("/policy/" BOOT_POLICY ".p7b", BOOT_POLICY), BOOT_POLICY);
        must_work(try_ipe_activate(BOOT_POLICY), BOOT_POLICY);
        tap_rows(&tap, "boot policy", boot_policy_rows, ELEMENTSOF(boot_policy_rows));
        tap_rows(&tap, "boot policy", to_host_rows, ELEMENTSOF(to_host_rows));
        tap_rows(&tap, "host policy", allowed_rows, ELEMENTSOF(allowed_rows));
        tap_rows(&tap, "host policy", denied_rows, ELEMENTSOF(denied_rows));
        tap_rows(&tap, "IPE alone", open_rows, ELEMENTSOF(open_rows));
        tap_rows(&tap, "IPE", policy_rows, ELEMENTSOF(policy_rows));
        check_roothash_rule();
        check_named_rules();
        check_sysctls();
}

int main(void)
{
        prepare();
        FILE *out = tap_open_port("io.holdfast.payload");
        tap_start(&tap, out ? out : stdout);
        load_modules();
        check_everything();
        (void)tap_finish(&tap);
        sync();
        (void)reboot(RB_POWER_OFF);
        return 1;
}
