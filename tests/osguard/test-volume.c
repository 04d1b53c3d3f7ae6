/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The data volume of whole machines: a real TPM implementation, real LUKS2 headers, real file systems. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/file.h"
#include "base/process.h"
#include "volume-machine.h"

static struct authority owner;
static struct signers keys;
static struct machine a, b;

static void set_up(void)
{
        static const enum trust_purpose purposes[] = {TRUST_RECOVERY};

        authority_make(&owner);
        signers_make(&keys, purposes, ELEMENTSOF(purposes));
}

static void tear_down(void)
{
        authority_done(&owner);
        signers_done(&keys);
}

TestSuite(volume, .init = set_up, .fini = tear_down);

static void make(struct machine *m)
{
        machine_with_volume(m, &owner, keys.trust);
}

static void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void shell(const char *format, ...)
{
        char line[2048];
        const char *argv[] = {"sh", "-ec", line, NULL};
        struct error e = {};
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(line, sizeof(line), format, ap);
        va_end(ap);
        cr_assert_eq(process_check((char *const *)argv, NULL, &e), 0, "%s: %s", line, e.message);
}

Test(volume, the_same_machine_opens_it_at_every_boot)
{
        make(&a);
        shell("e2fsck -fn %s && dumpe2fs -h %s | grep -q holdfast-var", a.mapped, a.mapped);
        for (int i = 0; i < 2; i++) {
                cr_assert_eq(machine_boot(&a, "image"), 0, "%s", a.e.message);
                cr_expect_eq(a.boot.rollback.counter, 2, "nothing new was promised");
                cr_expect(a.boot.decision.record.has_volume);
                cr_expect_arr_eq(a.boot.decision.record.volume, a.found.sealed.public_area.name,
                                 TPM_NAME_SIZE);
                machine_bless(&a);
                machine_off(&a);
        }
        machine_done(&a);
}

Test(volume, it_opens_before_it_is_blessed)
{
        machine_make(&a, &owner, keys.trust);
        expect_boot(&a, "image");
        expect_boot(&a, "image");
        machine_done(&a);
}

/* --- who does not get it --- */

Test(volume, another_image_does_not_open_it_unless_the_owner_approves)
{
        make(&a);
        expect_refused(&a, "changed image", -EPERM, "PCR 14");
        machine_approve(&a, "newer image");
        expect_boot(&a, "newer image");
        expect_boot(&a, "image");
        machine_done(&a);
}

static void set_variant(struct machine *m, const char *variant)
{
        (void)snprintf(m->variant, sizeof(m->variant), "%s", variant);
}

/* The owner approves of all three, and dev and test run what prod must not. */
Test(volume, another_variant_does_not_open_it_though_the_owner_approves)
{
        machine_make(&a, &owner, keys.trust);
        machine_approve(&a, "test image");
        set_variant(&a, "prod");
        expect_boot(&a, "image");
        set_variant(&a, "test");
        expect_refused(&a, "test image", -EPERM, "variant test expected, found one of prod");
        set_variant(&a, "prod");
        cr_assert_eq(machine_boot(&a, "image"), 0, "%s", a.e.message);
        machine_bless(&a);
        machine_off(&a);
        set_variant(&a, "test");
        expect_refused(&a, "test image", -EPERM, "variant test expected, found one of prod");
        set_variant(&a, "prod");
        expect_boot(&a, "image");
        machine_done(&a);
}

Test(volume, a_policy_that_the_owner_did_not_sign_does_not_open_it)
{
        make(&a);
        machine_approve(&a, "changed image");
        a.approved[1].signature[5] ^= 1;
        expect_refused(&a, "changed image", -EKEYREJECTED, "sign");
        machine_done(&a);
}

Test(volume, after_the_cap_nobody_opens_it)
{
        const struct tpm_authorization approved = {&owner.public_area, a.approved, 1};
        uint8_t key[VOLUME_KEY_SIZE] = {}, nothing[VOLUME_KEY_SIZE] = {};
        struct error e = {};

        make(&a);
        cr_assert_eq(machine_boot(&a, "image"), 0, "%s", a.e.message);
        extend(a.boot.tpm, 14, "cap");
        cr_expect_eq(tpm_unseal(a.boot.tpm, &a.found.sealed, &approved, key, sizeof(key), &e), -EPERM, "%s",
                     e.message);
        cr_expect_arr_eq(key, nothing, sizeof(key));
        machine_done(&a);
}

static void swap_disks(void)
{
        shell("mv %s %s.x && mv %s %s && mv %s.x %s", a.disk, a.disk, b.disk, a.disk, a.disk, b.disk);
}

Test(volume, disks_swapped_between_machines)
{
        make(&a);
        make(&b);
        swap_disks();
        expect_refused(&a, "image", -EBADMSG, "tokens.0: the sealed key");
        expect_refused(&b, "image", -EBADMSG, "tokens.0: the sealed key");
        swap_disks();
        expect_boot(&a, "image");
        expect_boot(&b, "image");
        machine_done(&a);
        machine_done(&b);
}

/* The record is what tells the machines apart; without it the sealed key still does. */
Test(volume, another_tpm_does_not_unseal_it)
{
        struct volume_found found = {};
        struct error e = {};
        uint8_t key[VOLUME_KEY_SIZE];

        make(&a);
        make(&b);
        cr_assert_eq(volume_examine(a.disk, &owner.public_area, &found, &e), 0, "%s", e.message);
        cr_assert_eq(found.state, VOLUME_COMPLETE, "%s", found.why.message);
        cr_assert_eq(machine_boot(&b, "image"), 0, "%s", b.e.message);
        cr_expect_eq(tpm_unseal(b.boot.tpm, &found.sealed,
                                &(struct tpm_authorization){&owner.public_area, b.approved, 1}, key,
                                sizeof(key), &e),
                     -EBADMSG, "%s", e.message);
        volume_found_done(&found);
        machine_done(&a);
        machine_done(&b);
}

Test(volume, a_machine_without_a_volume_takes_no_foreign_one)
{
        make(&a);
        machine_make(&b, &owner, keys.trust);
        swap_disks();
        expect_refused(&b, "image", -EBADMSG, "a volume that this TPM does not know");
        expect_refused(&a, "image", -EBADMSG, "found zeros");
        swap_disks();
        expect_boot(&a, "image");
        machine_done(&a);
        machine_done(&b);
}

/* A volume with a key that the attacker knows, made by other software than ours, and this token. */
static void forge(const struct machine *m, const struct tpm_sealed *sealed)
{
        _cleanup_free_ char *token = NULL;
        struct error e = {};
        char path[160];

        cr_assert_eq(volume_token(sealed, &token, &e), 0, "%s", e.message);
        (void)snprintf(path, sizeof(path), "%s/token", m->directory);
        cr_assert_eq(write_file_atomic(AT_FDCWD, path, token, strlen(token), 0600, &e), 0, "%s", e.message);
        shell("cd %s; head -c 64 /dev/urandom >key; head -c 32 /dev/urandom >passphrase; "
              "cryptsetup luksFormat -q --type luks2 --cipher aes-xts-plain64 --key-size 512 --sector-size "
              "4096 "
              "--pbkdf pbkdf2 --pbkdf-force-iterations 1000 --volume-key-file key disk passphrase; "
              "cryptsetup token import --json-file token disk",
              m->directory);
}

/* Whoever has the TPM's bus can seal a key of their own to it, and make a header like ours around it. */
Test(volume, a_header_with_a_key_of_the_attackers_own)
{
        static const uint8_t known[VOLUME_KEY_SIZE] = {1};
        struct tpm_sealed sealed;

        make(&a);
        cr_assert_eq(machine_boot(&a, "image"), 0, "%s", a.e.message);
        cr_assert_eq(tpm_seal(a.boot.tpm, &owner.public_area, known, sizeof(known), &sealed, NULL), 0);
        machine_off(&a);
        forge(&a, &sealed);
        expect_refused(&a, "image", -EBADMSG, "tokens.0: the sealed key");
        machine_done(&a);
}

/* The volume key's digest in the header is the attacker's: the key that the TPM gives out does not match. */
Test(volume, a_header_of_the_attackers_own_around_the_machines_key)
{
        struct tpm_sealed sealed;

        make(&a);
        cr_assert_eq(machine_boot(&a, "image"), 0, "%s", a.e.message);
        sealed = a.found.sealed;
        machine_off(&a);
        forge(&a, &sealed);
        expect_refused(&a, "image", -EPERM, "opening with the sealed key");
        machine_done(&a);
}

/* --- where no volume is made --- */

Test(volume, nothing_is_made_over_what_is_there)
{
        static const char *const contents[] = {
                "mke2fs -q disk",
                "cryptsetup luksFormat -q --type luks1 --pbkdf-force-iterations 1000 disk /bin/true",
                "printf x | dd of=disk bs=1 seek=16777215 conv=notrunc",
                "printf x | dd of=disk bs=1 conv=notrunc",
        };

        machine_make(&a, &owner, keys.trust);
        for (size_t i = 0; i < ELEMENTSOF(contents); i++) {
                machine_wipe_disk(&a);
                shell("cd %s; %s; cp --sparse=always disk disk.before", a.directory, contents[i]);
                expect_refused(&a, "image", -EBADMSG, "a blank partition");
                shell("cmp %s %s.before", a.disk, a.disk);
        }
        machine_wipe_disk(&a);
        expect_boot(&a, "image");
        machine_done(&a);
}

Test(volume, a_wiped_disk_is_not_a_first_boot)
{
        make(&a);
        machine_wipe_disk(&a);
        expect_refused(&a, "image", -EBADMSG, "this machine's volume expected");
        machine_done(&a);
}

/* The token of a machine whose TPM lost its record, as step versions leaves it. */
static int boot_with_token_to_keep(struct machine *m)
{
        swtpm_restart(&m->tpm);
        machine_start(m, "image");
        m->boot.decision.source = ROLLBACK_TOKEN;
        m->boot.decision.keep_volume = true;
        m->boot.decision.record.has_volume = false;
        return machine_bring_up(m);
}

Test(volume, a_token_may_keep_the_volume_that_is_there)
{
        make(&a);
        cr_assert_eq(boot_with_token_to_keep(&a), 0, "%s", a.e.message);
        cr_expect(a.boot.next.has_volume);
        cr_expect_arr_eq(a.boot.next.volume, a.found.sealed.public_area.name, TPM_NAME_SIZE);
        machine_bless(&a);
        machine_off(&a);
        expect_boot(&a, "image");
        machine_wipe_disk(&a);
        cr_expect_eq(boot_with_token_to_keep(&a), -EBADMSG, "nothing to keep, and nothing is made");
        machine_done(&a);
}

Test(volume, a_token_to_keep_it_is_of_no_use_to_another_variant)
{
        machine_make(&a, &owner, keys.trust);
        set_variant(&a, "prod");
        expect_boot(&a, "image");
        set_variant(&a, "test");
        cr_expect_eq(boot_with_token_to_keep(&a), -EPERM, "%s", a.e.message);
        cr_expect(strstr(a.e.message, "variant"), "%s", a.e.message);
        machine_done(&a);
}

Test(volume, a_partition_that_is_too_small)
{
        machine_make(&a, &owner, keys.trust);
        cr_assert_eq(truncate(a.disk, 20 * 1024 * 1024), 0);
        expect_refused(&a, "image", -ENOSPC, "bytes or more expected");
        machine_done(&a);
}

/* --- what fails while a volume is made, and the next boot --- */

/* A file system of its own, of this size, over the machine's directory `name`. */
static void limit_space(const struct machine *m, const char *name, const char *size)
{
        char path[160], options[32];

        (void)snprintf(path, sizeof(path), "%s/%s", m->directory, name);
        (void)snprintf(options, sizeof(options), "size=%s", size);
        cr_assert_eq(mount("tmpfs", path, "tmpfs", 0, options), 0);
}

Test(volume, a_full_esp)
{
        machine_make(&a, &owner, keys.trust);
        limit_space(&a, "esp", "16k");
        shell("mkdir -p %s/" ESP_DIRECTORY "; head -c 1M /dev/zero >%s/x || true", a.esp, a.esp);
        expect_refused(&a, "image", -ENOSPC, "recovery-key.p7m");
        expect_refused(&a, "image", -ENOSPC, "recovery-key.p7m");
        cr_assert_eq(umount(a.esp), 0);
        expect_boot(&a, "image");
        shell("test -s %s/" VOLUME_RECOVERY_FILE, a.esp);
        machine_done(&a);
}

/* The disk, or what lies on the device that is mapped, cannot be written to its end. */
static void write_error(char *path, size_t size, const char *text)
{
        char small[80];

        machine_make(&a, &owner, keys.trust);
        (void)snprintf(small, sizeof(small), "%s/small", a.directory);
        shell("mkdir %s", small);
        limit_space(&a, "small", "16k");
        (void)snprintf(path, size, "%s/file", small);
        machine_wipe_disk(&a);
        cr_expect_lt(machine_boot(&a, "image"), 0);
        cr_expect(strstr(a.e.message, text), "%s", a.e.message);
        machine_off(&a);
        cr_assert_eq(mount(NULL, small, NULL, MS_REMOUNT, "size=64m"), 0);
        expect_boot(&a, "image");
        cr_assert_eq(umount(small), 0);
        machine_done(&a);
}

Test(volume, the_disk_cannot_be_written)
{
        write_error(a.disk, sizeof(a.disk), "LUKS2 format");
}

Test(volume, mke2fs_fails)
{
        write_error(a.mapped, sizeof(a.mapped), "mke2fs");
}

Test(volume, nobody_to_leave_the_recovery_key_to)
{
        _cleanup_(trust_store_free_ptr) struct trust_store *empty = NULL;
        struct error e = {};

        machine_make(&a, &owner, keys.trust);
        cr_assert_eq(trust_store_open(AT_FDCWD, a.esp, &empty, &e), 0, "%s", e.message);
        a.trust = empty;
        expect_refused(&a, "image", -ENOKEY, "recovery.pem");
        machine_done(&a);
}

/* --- the owner's way in --- */

/* The first two commands of VOLUME.md as they stand there, but that no device is made. */
Test(volume, the_recovery_key_opens_it_elsewhere)
{
        make(&a);
        shell("cd %s; cp %s/recovery.* .; "
              "sed -n -e 's/^    \\(openssl cms .*\\)/\\1/p' "
              "-e 's,^    \\(cryptsetup open .*\\) /dev/sdb8 recovered$,\\1 --test-passphrase disk,p' %s "
              ">commands; "
              "test $(wc -l <commands) = 2; sh -ex commands; test $(stat -c %%s recovery-key) = 32; "
              "! cryptsetup open --test-passphrase --key-file /etc/passwd disk",
              a.directory, keys.directory, VOLUME_PAGE);
        machine_done(&a);
}

Test(volume, cryptsetup_reads_the_same)
{
        make(&a);
        cr_assert_eq(machine_boot(&a, "image"), 0, "%s", a.e.message);
        shell("cryptsetup luksDump %s >%s/dump; cd %s; grep -q 'UUID:.*%s' dump; grep -q 'holdfast-tpm' "
              "dump; "
              "grep -q 'cipher: aes-xts-plain64' dump; grep -q 'offset: 16777216' dump; grep -q 'sector: "
              "4096' dump; "
              "test $(grep -c ': luks2$' dump) = 1; cryptsetup isLuks --type luks2 disk",
              a.disk, a.directory, a.directory, a.found.uuid);
        machine_done(&a);
}
