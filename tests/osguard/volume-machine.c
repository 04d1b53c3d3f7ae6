/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "volume-machine.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <libcryptsetup.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "osguard/rollback-tpm.h"

static struct machine *running; /* map() is given nothing of the machine */

/* What device-mapper does, as far as files can: the key is the volume's, and there is a device without the
 * header. */
static int map(struct crypt_device *cd, const uint8_t key[static VOLUME_KEY_SIZE])
{
        int r = crypt_volume_key_verify(cd, (const char *)key, VOLUME_KEY_SIZE), fd;

        if (r < 0)
                return r;
        fd = open(running->mapped, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        cr_assert_geq(fd, 0);
        cr_assert_eq(ftruncate(fd, DISK_SIZE - VOLUME_HEADER_SIZE), 0);
        cr_assert_eq(close(fd), 0);
        return 0;
}

void machine_wipe_disk(struct machine *m)
{
        int fd = open(m->disk, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        cr_assert_geq(fd, 0);
        cr_assert_eq(ftruncate(fd, DISK_SIZE), 0);
        cr_assert_eq(close(fd), 0);
}

static void start(struct machine *m, const char *image)
{
        cr_assert_eq(tpm_open(m->tcti ?: m->tpm.tcti, &m->boot.tpm, &m->e), 0, "%s", m->e.message);
        extend(m->boot.tpm, 14, image);
}

void machine_off(struct machine *m)
{
        volume_found_done(&m->found);
        m->boot.machine_log = event_log_free(m->boot.machine_log);
        m->boot.tpm = tpm_free(m->boot.tpm);
        swtpm_stop(&m->tpm);
}

void machine_approve(struct machine *m, const char *image)
{
        cr_assert_lt(m->n_approved, ELEMENTSOF(m->approved));
        swtpm_restart(&m->tpm);
        start(m, image);
        authority_approve(m->owner, m->boot.tpm, &m->approved[m->n_approved++]);
        machine_off(m);
}

void machine_make(struct machine *m, struct authority *owner, const struct trust_store *trust)
{
        char path[128];

        *m = (struct machine){.owner = owner, .trust = trust};
        swtpm_start(&m->tpm);
        (void)snprintf(m->directory, sizeof(m->directory), "%s", m->tpm.directory);
        (void)snprintf(m->disk, sizeof(m->disk), "%s/disk", m->directory);
        (void)snprintf(m->mapped, sizeof(m->mapped), "%s/mapped", m->directory);
        (void)snprintf(m->esp, sizeof(m->esp), "%s/esp", m->directory);
        (void)snprintf(path, sizeof(path), "%s/EFI", m->esp);
        cr_assert(mkdir(m->esp, 0700) == 0 && mkdir(path, 0700) == 0);
        (void)snprintf(path, sizeof(path), "%s/" ESP_DIRECTORY, m->esp);
        cr_assert_eq(mkdir(path, 0700), 0);
        machine_wipe_disk(m);
        machine_approve(m, "image");
}

void machine_done(struct machine *m)
{
        machine_off(m);
        swtpm_done(&m->tpm);
}

static void prepare(struct machine *m)
{
        char path[128];

        m->boot.trust = (struct trust_store *)m->trust;
        m->boot.image.security_version = 1;
        memcpy(m->boot.image.variant, m->variant, sizeof(m->variant));
        m->boot.host.reference.version[0] = 1;
        m->boot.authority = m->owner->public_area;
        m->boot.esp.policies = m->approved;
        m->boot.esp.n_policies = m->n_approved;
        (void)snprintf(path, sizeof(path), "%s/machine.cel", m->directory);
        (void)unlink(path);
        cr_assert_eq(event_log_create(path, OSGUARD_MACHINE_PCR, m->boot.tpm, &m->boot.machine_log, &m->e), 0,
                     "%s", m->e.message);
        cr_assert_eq(boot_read_rollback(&m->boot, &m->e), 0, "%s", m->e.message);
}

void machine_start(struct machine *m, const char *image)
{
        m->boot = (struct boot){};
        m->e = (struct error){};
        start(m, image);
        prepare(m);
}

int machine_bring_up(struct machine *m)
{
        struct volume_site site = {m->disk, m->mapped, map, open(m->esp, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
        int r;

        cr_assert_geq(site.esp, 0);
        running = m;
        r = volume_bring_up(&m->boot, &site, &m->found, &m->e);
        (void)close(site.esp);
        return r < 0 ? r : boot_promise(&m->boot, &m->e);
}

int machine_boot(struct machine *m, const char *image)
{
        swtpm_restart(&m->tpm);
        machine_start(m, image);
        return machine_bring_up(m);
}

void machine_bless(struct machine *m)
{
        struct record record;
        char path[128];

        (void)snprintf(path, sizeof(path), "%s/generation", m->directory);
        cr_assert_eq(rollback_bless(m->boot.tpm, &m->owner->public_area, path, &record, &m->e), 0, "%s",
                     m->e.message);
}

void expect_boot(struct machine *m, const char *image)
{
        cr_assert_eq(machine_boot(m, image), 0, "%s", m->e.message);
        machine_off(m);
}

void expect_refused(struct machine *m, const char *image, int expected, const char *text)
{
        cr_expect_eq(machine_boot(m, image), expected, "%s", m->e.message);
        cr_expect(strstr(m->e.message, text), "\"%s\" expected in: %s", text, m->e.message);
        machine_off(m);
}

void machine_with_volume(struct machine *m, struct authority *owner, const struct trust_store *trust)
{
        machine_make(m, owner, trust);
        cr_assert_eq(machine_boot(m, "image"), 0, "%s", m->e.message);
        machine_bless(m);
        machine_off(m);
}
