/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The power goes while a volume is made: at each write to disk, ESP or TPM in turn. The next boot makes or
 * opens one, and what is blessed stays.
 *
 * The calls below are this program's, and so all libraries', instead of libc's. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/process.h"
#include "volume-machine.h"

#define WIPE ((size_t)1024 * 1024) /* bytes that libcryptsetup writes at once where it only wipes */

static unsigned long steps, cut_before; /* 0: never */

#define INSTEAD __attribute__((visibility("default")))

static void step(void)
{
        if (++steps == cut_before)
                _exit(77);
}

INSTEAD ssize_t write(int fd, const void *data, size_t size)
{
        static size_t last;

        if (size != WIPE || last != WIPE)
                step();
        last = size;
        return syscall(SYS_write, fd, data, size);
}

INSTEAD ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
        step();
        return syscall(SYS_pwrite64, fd, data, size, offset);
}

INSTEAD ssize_t send(int fd, const void *data, size_t size, int flags)
{
        step();
        return syscall(SYS_sendto, fd, data, size, flags, NULL, 0);
}

INSTEAD int fsync(int fd)
{
        step();
        return (int)syscall(SYS_fsync, fd);
}

INSTEAD int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
        step();
        return (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);
}

static struct authority owner;
static struct signers keys;
static struct machine m;

static void set_up(void)
{
        static const enum trust_purpose purposes[] = {TRUST_RECOVERY};

        authority_make(&owner);
        signers_make(&keys, purposes, ELEMENTSOF(purposes));
        machine_make(&m, &owner, keys.trust);
        swtpm_snapshot(&m.tpm, "new");
}

static void tear_down(void)
{
        machine_done(&m);
        signers_done(&keys);
        authority_done(&owner);
}

TestSuite(volume_cut, .init = set_up, .fini = tear_down);

/* As it came from its maker. */
static void reset(void)
{
        char path[160];

        swtpm_restore(&m.tpm, "new");
        machine_wipe_disk(&m);
        (void)snprintf(path, sizeof(path), "%s/" VOLUME_RECOVERY_FILE, m.esp);
        (void)unlink(path);
        (void)unlink(m.mapped);
}

/* Runs step volume in a process that ends before write n; false: it did not come to that one. */
static bool boot_cut_before(unsigned long n)
{
        int status = 0;
        pid_t pid;

        pid = fork();
        cr_assert_geq(pid, 0);
        if (pid == 0) {
                /* The TPM is the parent's child, and goes on when this process ends. */
                machine_start(&m, "image");
                steps = 0;
                cut_before = n;
                _exit(machine_bring_up(&m) == 0 ? 0 : 1);
        }
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 77),
                  "cut before %lu: %x", n, status);
        swtpm_stop(&m.tpm);
        return WEXITSTATUS(status) == 77;
}

/* The recovery key that lies on the ESP belongs to the volume. */
static void expect_recovery(void)
{
        char line[1024];
        const char *argv[] = {"sh", "-ec", line, NULL};
        struct error e = {};

        (void)snprintf(line, sizeof(line),
                       "cd %s; openssl cms -decrypt -inform DER -in esp/" VOLUME_RECOVERY_FILE
                       " -recip %s/recovery.pem -inkey %s/recovery.key -out k; "
                       "cryptsetup open --test-passphrase --key-file k disk; e2fsck -fn mapped",
                       m.directory, keys.directory, keys.directory);
        cr_assert_eq(process_check((char *const *)argv, NULL, &e), 0, "%s", e.message);
}

Test(volume_cut, at_every_step)
{
        for (unsigned long n = 1;; n++) {
                bool cut;

                reset();
                cut = boot_cut_before(n);
                cr_assert_eq(machine_boot(&m, "image"), 0, "cut before %lu: %s", n, m.e.message);
                expect_recovery();
                machine_bless(&m);
                machine_off(&m);
                cr_assert_eq(machine_boot(&m, "image"), 0, "cut before %lu: %s", n, m.e.message);
                cr_expect(m.boot.decision.record.has_volume);
                machine_off(&m);
                if (!cut) {
                        cr_expect_gt(n, 50, "steps were counted");
                        return;
                }
        }
}
