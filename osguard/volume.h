/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The data volume: LUKS2, its key sealed to this TPM and to an approved boot.
 *
 * Nothing on the disk is trusted. What the TPM's record names is the sealed object, and that object holds the
 * volume key itself: no keyslot plays a part at boot, so none can be made to. All else that a LUKS2 header
 * says has one value that we write, and a header that says anything else is refused before its key is asked
 * for. */
#pragma once

#include "osguard/osguard.h"
#include "tpm/seal.h"

struct crypt_device;

#define VOLUME_TYPE "4d21b016-b534-45c2-a9fb-5c16e091fd2d" /* Discoverable Partitions Specification: /var */
#define VOLUME_DEVICE "/dev/mapper/var"
#define VOLUME_KEY_SIZE 64u                    /* bytes: AES-256-XTS */
#define VOLUME_RECOVERY_SIZE 32u               /* bytes of the passphrase that opens the one keyslot */
#define VOLUME_HEADER_SIZE (16u * 1024 * 1024) /* bytes before the encrypted data */
#define VOLUME_COPY_SIZE (16u * 1024)          /* bytes of each of the two copies of the LUKS2 metadata */
#define VOLUME_RECOVERY_FILE ESP_DIRECTORY "/recovery-key.p7m"

/* What the TPM keeps: dev and test run what prod must not, so a volume opens to the variant that made it. */
struct volume_secret {
        uint8_t key[VOLUME_KEY_SIZE];
        char variant[8]; /* as in struct image, filled up with zeros */
};

/* --- the header, without a device --- */

/* Compares the two copies of the metadata, which lie one behind the other: both are whole (magic, version,
 * size, offset, checksum) and say the same. libcryptsetup would write the better one over the other.
 * -EBADMSG, with the field's name. LUKS2 On-Disk Format Specification, 2 and 3. */
int volume_copies_check(const uint8_t copies[static 2 * VOLUME_COPY_SIZE], struct error *e);

/* Compares a header's JSON with the one that we write: each field that may vary is named in volume-header.c,
 * all others are fixed. *ret is what its token holds. -ENODATA: it has no token, which is written last;
 * -EBADMSG for anything else, with the path of the field, what was expected and found. */
int volume_json_check(const char *json, const struct tpm_public *authority, struct tpm_sealed *ret,
                      struct error *e);

/* The token for a sealed key, a JSON text to be freed. */
int volume_token(const struct tpm_sealed *sealed, char **ret, struct error *e);

/* --- a device --- */

enum volume_state {
        VOLUME_BLANK,      /* zeros where the header belongs */
        VOLUME_UNFINISHED, /* the making of a volume ended early here */
        VOLUME_FOREIGN,    /* something else */
        VOLUME_COMPLETE,   /* a header as we write it */
};

struct volume_found {
        enum volume_state state;
        struct error why;         /* of VOLUME_UNFINISHED and VOLUME_FOREIGN */
        struct tpm_sealed sealed; /* of VOLUME_COMPLETE */
        char uuid[37];            /* likewise; of LUKS */
        struct crypt_device *cd;  /* likewise, owned; it has the header in memory that was checked */
        struct error said;        /* by cd: so a struct volume_found stays where it is */
};

/* Looks what is there, and writes nothing. *ret is released by volume_found_done(). */
int volume_examine(const char *device, const struct tpm_public *authority, struct volume_found *ret,
                   struct error *e);
void volume_found_done(struct volume_found *found);

/* What to do with it: open (0), or make a new one (1). -EBADMSG: neither; a volume is never made over
 * anything but zeros and what an earlier making left. */
int volume_decide(const struct boot *b, const struct volume_found *found, struct error *e);

/* Where a volume lies, and how its device is made. */
struct volume_site {
        const char *device; /* the partition */
        const char *mapped; /* the device with the plain text, once `map` made it */
        int (*map)(struct crypt_device *cd, const uint8_t key[static VOLUME_KEY_SIZE]);
        int esp; /* the root directory of the ESP; -EBADF: to be mounted when a volume is made */
};

/* Examines, decides, and opens or makes. *found is released by volume_found_done(), also after a failure. */
int volume_bring_up(struct boot *b, const struct volume_site *site, struct volume_found *found,
                    struct error *e);

/* Asks the TPM for the key, and maps the volume. -EPERM, -EKEYREJECTED: this boot is not approved of, or is
 * of another variant than the one that made the volume;
 * -EBADMSG: sealed by another TPM. Sets b->next. */
int volume_open(struct boot *b, const struct volume_site *site, struct volume_found *found, struct error *e);

/* Makes and maps a volume; `esp` is the root directory of the ESP. Sets b->next and promises it before
 * anything is written to the device; the token that completes the header is written last. *ret is as after
 * volume_examine(). */
int volume_make(struct boot *b, const struct volume_site *site, int esp, struct volume_found *ret,
                struct error *e);

/* Maps the volume as VOLUME_DEVICE by device-mapper. The key goes to the kernel's keyring, not into the
 * table. Errors are libcryptsetup's; -EPERM: not the volume's key. */
int volume_map(struct crypt_device *cd, const uint8_t key[static VOLUME_KEY_SIZE]);

/* The volume's part of step selinux: mounts it, or a tmpfs where the machine has none, as /var of the root.
 */
int volume_mount(const struct boot *b, struct error *e);

/* --- libcryptsetup --- */

/* A handle whose messages go to `said`, which has to live as long. The caller frees *ret with crypt_free().
 */
int volume_crypt_init(const char *device, struct error *said, struct crypt_device **ret, struct error *e);

/* Returns r with what libcryptsetup said, or else r's text. */
int volume_crypt_error(const struct error *said, int r, const char *device, const char *what,
                       struct error *e);
