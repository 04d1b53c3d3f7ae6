/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A new data volume. The order is what makes every cut safe: the promise names the key before anything is
 * written, and the token that completes the header is written when everything else is there. */
#include <errno.h>
#include <libcryptsetup.h>
#include <string.h>
#include <sys/random.h>

#include "base/file.h"
#include "base/process.h"
#include "osguard/volume.h"

#define MKE2FS_MS (UINT64_C(10) * 60 * 1000)
#define RECOVERY_SLOT 0
#define TOKEN_SLOT 0

/* In memory that is locked and wiped. */
struct secrets {
        struct volume_secret sealed;
        uint8_t recovery[VOLUME_RECOVERY_SIZE];
};
DEFINE_CLEANUP(struct secrets *, crypt_safe_free)

static int draw(const struct image *image, struct secrets **ret, struct error *e)
{
        struct secrets *s = crypt_safe_alloc(sizeof(*s));

        if (!s)
                return -ENOMEM;
        if (getrandom(s, sizeof(*s), 0) != (ssize_t)sizeof(*s)) {
                crypt_safe_free(s);
                return error_set(e, -EIO, "getrandom: %zu bytes expected, found fewer", sizeof(*s));
        }
        memcpy(s->sealed.variant, image->variant, sizeof(s->sealed.variant));
        *ret = s;
        return 0;
}

static int promise(struct boot *b, const struct tpm_sealed *sealed, struct error *e)
{
        b->next.has_volume = true;
        memcpy(b->next.volume, sealed->public_area.name, sizeof(b->next.volume));
        return boot_promise(b, e);
}

/* Both keys are random, so nothing is gained by making their derivation slow. */
static int format(const char *device, struct volume_found *v, const struct secrets *s, struct error *e)
{
        static const struct crypt_pbkdf_type pbkdf = {.type = CRYPT_KDF_PBKDF2,
                                                      .hash = "sha256",
                                                      .iterations = 1000,
                                                      .flags = CRYPT_PBKDF_NO_BENCHMARK};
        struct crypt_params_luks2 parameters = {.pbkdf = &pbkdf, .sector_size = 4096};
        int r;

        r = volume_crypt_init(device, &v->said, &v->cd, e);
        if (r < 0)
                return r;
        r = crypt_set_metadata_size(v->cd, VOLUME_COPY_SIZE, VOLUME_HEADER_SIZE - 2 * VOLUME_COPY_SIZE);
        if (r >= 0)
                r = crypt_set_data_offset(v->cd, VOLUME_HEADER_SIZE / 512);
        if (r >= 0)
                r = crypt_format(v->cd, CRYPT_LUKS2, "aes", "xts-plain64", NULL, (const char *)s->sealed.key,
                                 sizeof(s->sealed.key), &parameters);
        if (r >= 0)
                r = crypt_keyslot_add_by_key(v->cd, RECOVERY_SLOT, (const char *)s->sealed.key,
                                             sizeof(s->sealed.key), (const char *)s->recovery,
                                             sizeof(s->recovery), 0);
        if (r < 0)
                return volume_crypt_error(&v->said, r, device, "LUKS2 format", e);
        (void)snprintf(v->uuid, sizeof(v->uuid), "%s", crypt_get_uuid(v->cd));
        return 0;
}

/* The features are named so that they do not depend on a configuration file. */
static int make_file_system(const char *device, struct error *e)
{
        static const char features[] =
                "none,has_journal,ext_attr,dir_index,filetype,extent,64bit,flex_bg,sparse_super,"
                "large_file,huge_file,dir_nlink,extra_isize,metadata_csum";
        const char *argv[] = {
                "/usr/sbin/mke2fs", "-q", "-F",     "-b",   "4096", "-I", "256", "-m", "0", "-L",
                "holdfast-var",     "-O", features, device, NULL};
        const char *environment[] = {"MKE2FS_CONFIG=/dev/null", NULL};
        const struct process_options options = {.timeout_ms = MKE2FS_MS,
                                                .environment = (char *const *)environment};

        return process_check((char *const *)argv, &options, e);
}

static int leave_recovery_key(const struct trust_store *trust, int esp, const struct secrets *s,
                              struct error *e)
{
        _cleanup_free_ uint8_t *der = NULL;
        size_t size = 0;
        int r;

        r = trust_encrypt(trust, s->recovery, sizeof(s->recovery), &der, &size, e);
        return r < 0 ? r : write_file_atomic(esp, VOLUME_RECOVERY_FILE, der, size, 0600, e);
}

static int complete(const char *device, struct volume_found *v, struct error *e)
{
        _cleanup_free_ char *token = NULL;
        int r;

        r = volume_token(&v->sealed, &token, e);
        if (r < 0)
                return r;
        r = crypt_token_json_set(v->cd, TOKEN_SLOT, token);
        if (r < 0)
                return volume_crypt_error(&v->said, r, device, "LUKS2 token", e);
        v->state = VOLUME_COMPLETE;
        return 0;
}

static int make(struct boot *b, const struct volume_site *site, int esp, const struct secrets *s,
                struct volume_found *v, struct error *e)
{
        int r;

        r = tpm_seal(b->tpm, &b->authority, &s->sealed, sizeof(s->sealed), &v->sealed, e);
        if (r >= 0)
                r = promise(b, &v->sealed, e);
        if (r >= 0)
                r = format(site->device, v, s, e);
        /* With the key as the TPM gives it out: what it would not give later must hold no data. */
        if (r >= 0)
                r = volume_open(b, site, v, e);
        if (r >= 0)
                r = make_file_system(site->mapped, e);
        if (r >= 0)
                r = leave_recovery_key(b->trust, esp, s, e);
        return r < 0 ? r : complete(site->device, v, e);
}

int volume_make(struct boot *b, const struct volume_site *site, int esp, struct volume_found *ret,
                struct error *e)
{
        _cleanup_(crypt_safe_free_ptr) struct secrets *s = NULL;
        int r;

        r = draw(&b->image, &s, e);
        if (r < 0)
                return r;
        *ret = (struct volume_found){};
        r = make(b, site, esp, s, ret, e);
        if (r < 0)
                volume_found_done(ret);
        return r;
}
