/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* osguard's library: the steps between the kernel and systemd, in boot order, each callable without a boot.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "osguard/rollback.h"
#include "tpm/authorize.h"
#include "tpm/event-log.h"
#include "trust/trust.h"
#include "verity-tools/verity.h"

#define OSGUARD_TRUST "/etc/holdfast/trust"
#define OSGUARD_IMAGE "/etc/holdfast/image.json"
#define OSGUARD_IPE_BOOT "/etc/holdfast/ipe-boot.p7b"
#define OSGUARD_IPE_HOST "/usr/lib/holdfast/ipe-host.p7b" /* in the root image */
#define OSGUARD_SELINUX "/etc/holdfast/selinux.policy"
#define OSGUARD_SYSROOT "/sysroot"
#define OSGUARD_LOG "/run/holdfast/osguard.cel"
#define OSGUARD_PCR 14u
#define OSGUARD_MACHINE_LOG "/run/holdfast/machine.cel"
#define OSGUARD_MACHINE_PCR 15u

struct policy_reference {
        char name[256];
        uint16_t version[3];
        uint8_t sha256[32];
};

/* image.json, what the signed UKI says about the image. */
struct image {
        char *text; /* the bytes as they stand, owned */
        size_t size;
        char variant[8]; /* "prod", "dev" or "test" */
        uint64_t security_version;
        char *cmdline;
        char root_uuid[37], verity_uuid[37], signature_uuid[37];
        struct verity_geometry root;
        struct policy_reference ipe_boot, ipe_host;
        uint8_t selinux_sha256[32];
        char **modules; /* ends with NULL */
};

/* Reads and checks image.json, from a file or from size bytes of text; *ret is released by image_done(). */
int image_read(const char *path, struct image *ret, struct error *e);
int image_parse(const char *text, size_t size, struct image *ret, struct error *e);
void image_done(struct image *image);

/* What the EFI system partition holds for the UKI that booted. Only the build manifest was verified. */
struct esp {
        struct tpm_pcr_policy *policies; /* of the build manifest, for the image's host policy */
        size_t n_policies;
        uint8_t *host; /* a newer IPE host policy, signed; NULL: none */
        size_t host_size;
        struct tpm_pcr_policy *host_policies; /* what belongs to it */
        size_t n_host_policies;
        uint8_t *token; /* a recovery token, signed; NULL: none */
        size_t token_size;
};

/* The IPE host policy of this boot: the image's, or a newer one from the ESP. */
struct host_policy {
        struct policy_reference reference;
        uint8_t *der; /* owned */
        size_t size;
        bool from_esp;
};

/* What the steps share. */
struct boot {
        struct image image;
        struct trust_store *trust;
        struct tpm *tpm;
        struct event_log *log;         /* PCR 14 */
        struct event_log *machine_log; /* PCR 15 */
        char disk[64];                 /* the disk of the root partition, "vda" */
        struct esp esp;
        struct host_policy host;
        struct tpm_public authority; /* the build key */
        struct rollback rollback;    /* as read from the TPM */
        struct rollback_decision decision;
        struct record next; /* the candidate; step volume sets its volume */
};

/* What approves of this boot: the build key and its PCR policies for the host policy chosen. Borrows from b.
 */
struct tpm_authorization boot_authorization(const struct boot *b);

/* Writes b->next as the candidate, unless that is already what will come into force. To be called after
 * b->next.volume is settled: by step volume before it makes a volume, and by step promise. Works as long as
 * PCR 14 has the value of the PCR policies. */
int boot_promise(struct boot *b, struct error *e);

/* The steps. Each is a source file of its name; DESIGN gives their order, boot.c holds it. */
int step_surroundings(struct boot *b, struct error *e);
int step_modules(struct boot *b, struct error *e);
int step_settings(struct boot *b, struct error *e);
int step_tpm(struct boot *b, struct error *e);
int step_ipe_boot(struct boot *b, struct error *e);
int step_root(struct boot *b, struct error *e);
int step_esp(struct boot *b, struct error *e);
int step_versions(struct boot *b, struct error *e);
int step_measure(struct boot *b, struct error *e);
int step_promise(struct boot *b, struct error *e);
int step_selinux(struct boot *b, struct error *e);
int step_payload(struct boot *b, struct error *e);
int step_ipe_host(struct boot *b, struct error *e);
int step_lock(struct boot *b, struct error *e);

/* Checks one signed IPE policy against its reference in image.json: digest, signature and purpose, name,
 * version, and (for the host) that no rule trusts the initramfs. *ret_der is the caller's to free. */
int ipe_policy_load_file(const struct trust_store *trust, const char *path,
                         const struct policy_reference *reference, bool host, uint8_t **ret_der,
                         size_t *ret_size, struct error *e);

/* Measures, loads and activates it. */
int ipe_policy_activate(struct event_log *log, const struct policy_reference *reference, const uint8_t *der,
                        size_t size, struct error *e);

/* Mounts the EFI system partition of this disk and opens its root directory; with `write` it may be written.
 * -ENOENT: the disk has none. *ret_dirfd is to be closed before esp_unmount(). */
int esp_mount(const char *disk, bool write, int *ret_dirfd, struct error *e);
int esp_unmount(struct error *e);

/* Reads below dirfd what is there for this image; the build manifest must be there, signed for the purpose
 * `build`, and name image.json by its digest. *ret is released by esp_done(). */
int esp_read(int dirfd, const struct trust_store *trust, const struct image *image, struct esp *ret,
             struct error *e);
void esp_done(struct esp *esp);

/* The three partitions of a verity disk. */
struct verity_disk {
        struct partition data, hash, signature;
};

/* Opens a verity disk after checking its signature partition for this root hash and purpose. *ret_device is
 * the path of the mapped device; the caller frees it. */
int verity_disk_open(const struct trust_store *trust, enum trust_purpose purpose, const char *name,
                     const struct verity_disk *disk, const struct verity_geometry *geometry,
                     char **ret_device, struct error *e);

/* Compares /proc/cmdline's content with the signed text, byte for byte, but for the final newline. */
int cmdline_check(const char *found, const char *expected, struct error *e);

/* Empties the directory dirfd without crossing into other file systems; subdirectories included. */
int directory_empty(int dirfd, struct error *e);

/* Runs all steps as PID 1 of the initrd and becomes systemd; returns only by power-off. */
_Noreturn void osguard_boot(void);

/* The links of the chain as they stand on the running machine, as a JSON array of {name, expected, found,
 * ok}. */
int osguard_status(sd_json_variant **ret, struct error *e);
