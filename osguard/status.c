/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libdevmapper.h>
#include <linux/capability.h>
#include <selinux/selinux.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hex.h"
#include "base/json.h"
#include "osguard/status.h"

#define SECURE_BOOT "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
#define IMA_LOG "/sys/kernel/security/ima/ascii_runtime_measurements"
#define IPE_POLICIES "/sys/kernel/security/ipe/policies"
#define SMALL 4096u

void report_add(struct report *p, const char *name, const char *expected, const char *found, bool ok)
{
        _cleanup_json_ sd_json_variant *link = NULL;

        if (p->r >= 0)
                p->r = sd_json_buildo(&link, SD_JSON_BUILD_PAIR_STRING("name", name),
                                      SD_JSON_BUILD_PAIR_STRING("expected", expected),
                                      SD_JSON_BUILD_PAIR_STRING("found", found),
                                      SD_JSON_BUILD_PAIR_BOOLEAN("ok", ok));
        if (p->r >= 0)
                p->r = sd_json_variant_append_array(&p->links, link);
}

/* The first line of a small file, or what kept it from being read; never NULL but when memory ends. */
static char *first_line(const char *path)
{
        struct error e = {};
        char *text = NULL;

        if (read_file(AT_FDCWD, path, SMALL, &text, NULL, &e) < 0)
                return strdup(e.message);
        text[strcspn(text, "\n")] = '\0';
        return text;
}

static void add_file(struct report *p, const char *name, const char *path, const char *expected)
{
        _cleanup_free_ char *found = first_line(path);

        report_add(p, name, expected, found ?: "", found && strcmp(found, expected) == 0);
}

static void add_secure_boot(struct report *p)
{
        _cleanup_free_ char *variable = NULL;
        struct error e = {};
        size_t size = 0;
        bool on;

        if (read_file(AT_FDCWD, SECURE_BOOT, SMALL, &variable, &size, &e) < 0) {
                report_add(p, "Secure Boot", "on", e.message, false);
                return;
        }
        /* Four bytes of attributes, then the value (UEFI 2.10, 3.3; efivarfs). */
        on = size == 5 && variable[4] == 1;
        report_add(p, "Secure Boot", "on", on ? "on" : "off", on);
}

static void add_lockdown(struct report *p)
{
        _cleanup_free_ char *found = first_line("/sys/kernel/security/lockdown");
        bool ok = found && (strstr(found, "[integrity]") || strstr(found, "[confidentiality]"));

        report_add(p, "Kernel lockdown", "integrity or above", found ?: "", ok);
}

static void add_root_mount(struct report *p)
{
        _cleanup_free_ char *mounts = NULL;
        struct error e = {};
        bool ok;

        if (read_file(AT_FDCWD, "/proc/self/mounts", 1024 * 1024, &mounts, NULL, &e) < 0) {
                report_add(p, "Root file system", "erofs, read-only", e.message, false);
                return;
        }
        ok = strstr(mounts, "/dev/mapper/root / erofs ro,") || strstr(mounts, "/dev/root / erofs ro,") ||
             strstr(mounts, "/dev/dm-0 / erofs ro,");
        report_add(p, "Root file system", "erofs on dm-verity, read-only",
                   ok ? "erofs on dm-verity, read-only" : "another", ok);
}

static char *read_table(const char *name)
{
        struct dm_task *task = dm_task_create(DM_DEVICE_TABLE);
        char *target = NULL, *parameters = NULL, *table = NULL;
        uint64_t start, length;

        if (task && dm_task_set_name(task, name) && dm_task_run(task)) {
                (void)dm_get_next_target(task, NULL, &start, &length, &target, &parameters);
                if (target && parameters && asprintf(&table, "%s %s", target, parameters) < 0)
                        table = NULL;
        }
        if (task)
                dm_task_destroy(task);
        return table;
}

static void add_root_verity(struct report *p)
{
        char hex[2 * VERITY_DIGEST_MAX + 1];
        const char *table = p->table ?: "no device-mapper table";

        verity_geometry_root_hash(&p->image.root, hex);
        report_add(p, "Root hash", hex, strstr(table, hex) ? hex : table, hex[0] && strstr(table, hex));
        report_add(p, "Root hash signature", "checked by the kernel",
                   strstr(table, "root_hash_sig_key_desc") ? "checked by the kernel" : table,
                   strstr(table, "root_hash_sig_key_desc") != NULL);
}

/* The names of the loaded IPE policies, the active one marked with a star. */
static char *list_ipe_policies(void)
{
        _cleanup_closedir_ DIR *dir = opendir(IPE_POLICIES);
        const struct dirent *entry;
        char *names = strdup("");

        while (dir && names && (entry = readdir(dir))) {
                char path[512], *longer = NULL;
                _cleanup_free_ char *active = NULL;

                if (entry->d_name[0] == '.')
                        continue;
                (void)snprintf(path, sizeof(path), IPE_POLICIES "/%s/active", entry->d_name);
                active = first_line(path);
                if (asprintf(&longer, "%s%s%s%s", names, names[0] ? " " : "", entry->d_name,
                             active && strcmp(active, "1") == 0 ? "*" : "") < 0)
                        longer = NULL;
                free(names);
                names = longer;
        }
        return names;
}

static void add_ipe(struct report *p)
{
        _cleanup_free_ char *found = list_ipe_policies();
        char expected[300];

        add_file(p, "IPE", "/sys/kernel/security/ipe/enforce", "1");
        (void)snprintf(expected, sizeof(expected), "%s*", p->image.ipe_host.name);
        report_add(p, "IPE policy (active*)", expected, found ?: "", found && strcmp(found, expected) == 0);
}

static void add_bounding_set(struct report *p)
{
        _cleanup_free_ char *status = NULL;
        const char *line = NULL;
        unsigned long long set = ~0ull;

        if (read_file(AT_FDCWD, "/proc/1/status", 64 * 1024, &status, NULL, NULL) >= 0)
                line = strstr(status, "\nCapBnd:");
        if (line)
                set = strtoull(line + strlen("\nCapBnd:"), NULL, 16);
        report_add(p, "CAP_MAC_ADMIN in PID 1's bounding set", "no",
                   set & (1ull << CAP_MAC_ADMIN) ? "yes" : "no", !(set & (1ull << CAP_MAC_ADMIN)));
}

/* The kernel's own log has the table of the root device, as text that it prints in hexadecimal: a verifier
 * finds this root hash in PCR 10. */
static void add_kernel_measurement(struct report *p)
{
        char digest[2 * VERITY_DIGEST_MAX + 1], text[sizeof(digest) + 16], hex[2 * sizeof(text) + 1];
        _cleanup_free_ char *log = NULL;
        struct error e = {};
        bool root = false, selinux = false;
        int n;

        verity_geometry_root_hash(&p->image.root, digest);
        n = snprintf(text, sizeof(text), "root_digest=%s", digest);
        hex_encode(text, (size_t)n, hex);
        if (read_file(AT_FDCWD, IMA_LOG, STATUS_LOG_MAX, &log, NULL, &e) >= 0) {
                root = strstr(log, hex) != NULL;
                selinux = strstr(log, "selinux-policy-hash") != NULL;
        }
        report_add(p, "Measured by the kernel (PCR 10)", "this root hash, SELinux's policy",
                   !log   ? e.message
                   : root ? (selinux ? "this root hash, SELinux's policy" : "this root hash")
                          : "not this root hash",
                   root && selinux);
}

void report_replay(struct report *p, const char *name, unsigned pcr, const uint8_t *log, size_t size)
{
        uint8_t replayed[32], value[32];
        char expected[65] = "", found[65] = "";
        struct error e = {};
        int r;

        r = event_log_replay(log, size, replayed, &e);
        if (r >= 0)
                r = p->tpm ? tpm_pcr_read(p->tpm, pcr, value, &e) : error_set(&e, -ENODEV, "no TPM");
        if (r < 0) {
                report_add(p, name, "the log's replay", e.message, false);
                return;
        }
        hex_encode(replayed, 32, expected);
        hex_encode(value, 32, found);
        report_add(p, name, expected, found, memcmp(replayed, value, 32) == 0);
}

/* The program that the kernel runs as PID 1 came into its domain by exec: no label is left to chance. */
static void add_init_domain(struct report *p)
{
        static const char expected[] = "system_u:system_r:init_t:";
        char *context = NULL;
        const char *found = getpidcon_raw(1, &context) < 0 ? "unreadable" : context;

        report_add(p, "Domain of PID 1", "init_t", found,
                   strncmp(found, expected, sizeof(expected) - 1) == 0);
        freecon(context);
}

/* What osguard measured first is image.json itself: the expected values come from there. */
static int image_from_log(const uint8_t *log, size_t size, struct image *ret, struct error *e)
{
        struct event_record record;
        size_t offset = 0;
        int r;

        r = event_log_next(log, size, &offset, &record, e);
        if (r < 0)
                return error_prefix(e, r, OSGUARD_LOG);
        if (r == 0 || strcmp(record.name, "image") != 0)
                return error_set(e, -EBADMSG, OSGUARD_LOG ": event \"image\" expected first, not found");
        return image_parse((const char *)record.data, record.data_size, ret, e);
}

static void add_links(struct report *p, const uint8_t *log, size_t size)
{
        add_secure_boot(p);
        add_lockdown(p);
        add_file(p, "Module signatures enforced", "/sys/module/module/parameters/sig_enforce", "Y");
        add_file(p, "Module loading closed", "/proc/sys/kernel/modules_disabled", "1");
        add_root_mount(p);
        add_root_verity(p);
        add_file(p, "Unsigned dm-verity refused", "/sys/module/dm_verity/parameters/require_signatures", "Y");
        add_ipe(p);
        add_file(p, "SELinux enforcing", "/sys/fs/selinux/enforce", "1");
        add_init_domain(p);
        add_bounding_set(p);
        add_file(p, "kexec closed", "/proc/sys/kernel/kexec_load_disabled", "1");
        add_file(p, "ptrace closed", "/proc/sys/kernel/yama/ptrace_scope", "3");
        add_kernel_measurement(p);
        report_replay(p, "Measured by osguard (PCR 14)", OSGUARD_PCR, log, size);
        report_rollback(p, log, size);
}

int osguard_status(sd_json_variant **ret, struct error *e)
{
        struct report report = {};
        _cleanup_free_ char *log = NULL;
        size_t size = 0;
        int r;

        r = read_file(AT_FDCWD, OSGUARD_LOG, STATUS_LOG_MAX, &log, &size, e);
        if (r >= 0)
                r = image_from_log((uint8_t *)log, size, &report.image, e);
        if (r < 0)
                return r;
        report.table = read_table("root");
        (void)tpm_open("device:/dev/tpmrm0", &report.tpm, NULL);
        add_links(&report, (uint8_t *)log, size);
        tpm_free(report.tpm);
        image_done(&report.image);
        free(report.table);
        if (report.r < 0) {
                sd_json_variant_unref(report.links);
                return error_errno(e, report.r, "status");
        }
        *ret = report.links;
        return 0;
}
