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
#define OSGUARD_GENERATION "/var/lib/osguard/generation" /* on the data volume; osguard-bless writes it */
#define OSGUARD_SYSROOT "/sysroot"
#define OSGUARD_LOG "/run/holdfast/osguard.cel"
#define OSGUARD_MANIFEST "/run/holdfast/manifest.p7m" /* a copy, for evidence */
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
        uint8_t *manifest; /* the build manifest, signed */
        size_t manifest_size;
};

#define ESP_DIRECTORY "EFI/holdfast"
#define MANIFEST_MAX                                                                                         \
        (2u * 1024 * 1024) /* bytes of a signed build manifest, and of the PCR policies' JSON                \
                            */
#define TOKEN "recovery token"

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
        const char *volume; /* the device of /var; NULL: it is a tmpfs */
        const char *note;   /* what a person should know of this boot, said once */
};

/* What approves of this boot: the build key and its PCR policies for the host policy chosen. Borrows from b.
 */
struct tpm_authorization boot_authorization(const struct boot *b);

/* Writes b->next as the candidate, unless that is already what will come into force. To be called after
 * b->next.volume is settled: by step volume before it makes a volume, and by step promise. Works as long as
 * PCR 14 has the value of the PCR policies. */
int boot_promise(struct boot *b, struct error *e);

/* Reads the TPM's state into b: counter, record in force, next; makes the counter at the first boot. b has
 * image, host, esp, authority, trust, tpm and machine_log. -ENOKEY: no record in force and no token;
 * -EBADMSG: a foreign index in the counter's place; -ESTALE: a version below its floor. */
int boot_read_rollback(struct boot *b, struct error *e);

/* Logs b->decision, holds the versions of this boot against its floors, and settles b->next. */
int boot_take_record(struct boot *b, struct error *e);

/* Lets the ESP's recovery token stand for the record in force. Without one: `why`, with the message given and
 * what a token has to name. */
int boot_recover(struct boot *b, int why, const struct error *message, struct error *e);

/* Removes what lies in the counter's place, with a token's leave. -EBADMSG without. */
int boot_recover_counter(struct boot *b, struct error *e);

/* Refuses a TPM that went back: -ESTALE if the volume's file `path` names a later generation than the counter
 * and no token says otherwise. */
int boot_check_generation(struct boot *b, const char *path, struct error *e);

/* The build key as a TPM takes it, from the certificate in this directory of trusted ones. */
int build_authority_read(const char *directory, struct tpm_public *ret, struct error *e);

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
int step_volume(struct boot *b, struct error *e);
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

/* Checks a signed policy that no reference knows: signature and purpose, the name given, rules as above.
 * *ret is its reference. */
int ipe_policy_check(const struct trust_store *trust, const char *path, const uint8_t *der, size_t size,
                     const char *name, bool host, struct policy_reference *ret, struct error *e);

/* Chooses the host policy: that of the image, which lies at `path`, or the one from the ESP, which has to be
 * newer or the very same: -ESTALE. What is chosen may not be older than the boot policy either: the kernel
 * would refuse it when nothing can be changed any more. *ret is released by host_policy_done(). */
int host_policy_choose(const struct trust_store *trust, const struct image *image, const char *path,
                       const struct esp *esp, struct host_policy *ret, struct error *e);
void host_policy_done(struct host_policy *host);

/* Appends the event `ipe-policy`. */
int ipe_policy_measure(struct event_log *log, const struct policy_reference *reference, struct error *e);

/* Loads and activates a policy that was measured. */
int ipe_policy_activate(const struct policy_reference *reference, const uint8_t *der, size_t size,
                        struct error *e);

/* Reads the SELinux policy and compares it with image.json. The caller frees *ret. */
int selinux_policy_read(const struct image *image, char **ret, size_t *ret_size, struct error *e);

/* Mounts the EFI system partition of this disk and opens its root directory; with `write` it may be written.
 * -ENOENT: the disk has none. *ret_dirfd is to be closed before esp_unmount(). */
int esp_mount(const char *disk, bool write, int *ret_dirfd, struct error *e);
int esp_unmount(struct error *e);

/* Reads below dirfd what is there for this image; the build manifest must be there, signed for the purpose
 * `build`, and name image.json by its digest. *ret is released by esp_done(). */
int esp_read(int dirfd, const struct trust_store *trust, const struct image *image, struct esp *ret,
             struct error *e);
void esp_done(struct esp *esp);

/* The member "pcr_policies" of a JSON text: 1 to 64 policies over PCRs 7, 11, 12 and 14, each with the digest
 * that follows from its values; their signatures are the TPM's to check. With image_sha256 (32 bytes) the
 * text must name that image. `name` is what messages call it. The caller frees *ret. */
int pcr_policies_parse(const char *name, const char *text, size_t size, const uint8_t *image_sha256,
                       struct tpm_pcr_policy **ret, size_t *ret_n, struct error *e);

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

/* What a recovery token for this machine has to name, as {tpm, counter}: the Name of the endorsement key in
 * hexadecimal digits, and the counter's value, 0 where a foreign index lies in its place. */
int osguard_request(sd_json_variant **ret, struct error *e);
