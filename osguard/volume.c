/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "osguard/volume.h"

#include <errno.h>
#include <libcryptsetup.h>
#include <libdevmapper.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/hex.h"

#define VOLUME_NAME "var"
#define MOUNT_FLAGS (MS_NOSUID | MS_NODEV | MS_NOEXEC)
#define ROOT_CONTEXT "rootcontext=system_u:object_r:var_t:s0"

/* --- deciding --- */

static int check_name(const struct volume_found *found, const uint8_t name[static TPM_NAME_SIZE],
                      struct error *e)
{
        char expected[2 * TPM_NAME_SIZE + 1], given[2 * TPM_NAME_SIZE + 1];

        if (found->state != VOLUME_COMPLETE)
                return error_set(e, -EBADMSG, "this machine's volume expected: %s", found->why.message);
        if (memcmp(found->sealed.public_area.name, name, TPM_NAME_SIZE) == 0)
                return 0;
        hex_encode(name, TPM_NAME_SIZE, expected);
        hex_encode(found->sealed.public_area.name, TPM_NAME_SIZE, given);
        return error_set(e, -EBADMSG, "LUKS2 header: tokens.0: the sealed key %s expected, found %s",
                         expected, given);
}

int volume_decide(const struct boot *b, const struct volume_found *found, struct error *e)
{
        const struct record *candidate = rollback_candidate(&b->rollback);
        bool begun = candidate && candidate->has_volume;

        if (b->decision.keep_volume)
                return check_name(found, found->sealed.public_area.name, e);
        if (b->decision.record.has_volume)
                return check_name(found, b->decision.record.volume, e);
        if (begun && found->state == VOLUME_COMPLETE)
                return check_name(found, candidate->volume, e);
        if (found->state == VOLUME_BLANK || (begun && found->state == VOLUME_UNFINISHED))
                return 1;
        return error_set(e, -EBADMSG, "a blank partition for a new volume expected, found %s",
                         found->state == VOLUME_COMPLETE     ? "a volume that this TPM does not know"
                         : found->state == VOLUME_UNFINISHED ? "a volume that another machine began"
                                                             : "something else");
}

/* --- opening --- */

int volume_map(struct crypt_device *cd, const uint8_t key[static VOLUME_KEY_SIZE])
{
        int r;

        /* There is no udev: libdevmapper makes the node. */
        dm_udev_set_sync_support(0);
        r = crypt_activate_by_volume_key(cd, VOLUME_NAME, (const char *)key, VOLUME_KEY_SIZE,
                                         CRYPT_ACTIVATE_KEYRING_KEY | CRYPT_ACTIVATE_IGNORE_PERSISTENT);
        /* dm-crypt has the key by now; libcryptsetup would leave it in the thread's keyring as well. */
        (void)syscall(SYS_keyctl, KEYCTL_CLEAR, KEY_SPEC_THREAD_KEYRING);
        return r;
}

static int check_variant(const struct image *image, const struct volume_secret *s, struct error *e)
{
        if (memcmp(s->variant, image->variant, sizeof(s->variant)) == 0)
                return 0;
        return error_set(e, -EPERM, "a volume of the variant %s expected, found one of %.8s", image->variant,
                         s->variant);
}

int volume_open(struct boot *b, const struct volume_site *site, struct volume_found *found, struct error *e)
{
        const struct tpm_authorization a = boot_authorization(b);
        struct volume_secret *s = crypt_safe_alloc(sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;
        r = tpm_unseal(b->tpm, &found->sealed, &a, s, sizeof(*s), e);
        if (r >= 0)
                r = check_variant(&b->image, s, e);
        if (r >= 0) {
                r = site->map(found->cd, s->key);
                if (r < 0)
                        r = volume_crypt_error(&found->said, r, site->device, "opening with the sealed key",
                                               e);
        }
        crypt_safe_free(s);
        if (r < 0)
                return r;
        b->next.has_volume = true;
        memcpy(b->next.volume, found->sealed.public_area.name, sizeof(b->next.volume));
        return 0;
}

/* --- the step --- */

static int make_with_esp(struct boot *b, const struct volume_site *site, struct volume_found *found,
                         struct error *e)
{
        int r, unmounted, esp = -EBADF;

        volume_found_done(found);
        if (site->esp >= 0)
                return volume_make(b, site, site->esp, found, e);
        r = esp_mount(b->disk, true, &esp, e);
        if (r < 0)
                return r;
        r = volume_make(b, site, esp, found, e);
        (void)close_fd(esp);
        unmounted = esp_unmount(r < 0 ? NULL : e);
        return r < 0 ? r : unmounted;
}

int volume_bring_up(struct boot *b, const struct volume_site *site, struct volume_found *found,
                    struct error *e)
{
        int r;

        r = volume_examine(site->device, &b->authority, found, e);
        if (r < 0)
                return r;
        r = volume_decide(b, found, e);
        if (r < 0)
                return error_prefix(e, r, "%s", site->device);
        return r > 0 ? make_with_esp(b, site, found, e) : volume_open(b, site, found, e);
}

static int log_volume(struct boot *b, const struct volume_found *found, struct error *e)
{
        char text[2 * TPM_NAME_SIZE + 1 + sizeof(found->uuid)];
        int n;

        hex_encode(found->sealed.public_area.name, TPM_NAME_SIZE, text);
        n = snprintf(text + 2 * TPM_NAME_SIZE, sizeof(text) - 2 * TPM_NAME_SIZE, " %s", found->uuid);
        return event_log_append(b->machine_log, "volume", text, 2 * TPM_NAME_SIZE + (size_t)n, e);
}

/* A machine that never had a volume, and has no disk for one, works without. */
static int go_without(struct boot *b, struct error *e)
{
        b->next.has_volume = false;
        b->note = "no data partition: /var is in memory and ends with the machine";
        return event_log_append(b->machine_log, "volume", "tmpfs", strlen("tmpfs"), e);
}

int step_volume(struct boot *b, struct error *e)
{
        struct volume_found found = {};
        struct volume_site site;
        struct partition p = {};
        struct error why = {};
        int r;

        r = partition_find_by_type(VOLUME_TYPE, b->disk, &p, &why);
        if (r == -ENOENT && !b->decision.record.has_volume && !b->decision.keep_volume)
                return go_without(b, e);
        if (r < 0)
                return error_set(e, r, "data volume: %s", why.message);
        site = (struct volume_site){p.path, VOLUME_DEVICE, volume_map, -EBADF};
        r = volume_bring_up(b, &site, &found, e);
        if (r >= 0)
                r = log_volume(b, &found, e);
        volume_found_done(&found);
        b->volume = r < 0 ? NULL : VOLUME_DEVICE;
        return r;
}

int volume_mount(const struct boot *b, struct error *e)
{
        const char *source = b->volume ?: "tmpfs", *type = b->volume ? "ext4" : "tmpfs";
        const char *options = b->volume ? "fscontext=system_u:object_r:var_t:s0," ROOT_CONTEXT
                                        : "mode=755,size=50%," ROOT_CONTEXT;

        if (mount(source, OSGUARD_SYSROOT "/var", type, MOUNT_FLAGS, options) < 0)
                return error_errno(e, -errno, "mount %s on /var", source);
        return 0;
}
