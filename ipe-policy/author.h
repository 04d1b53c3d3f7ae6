/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writing policies: their canonical form, versions, policies from images and from the kernel's records, and
 * what the kernel will answer when they are loaded. Texts that are returned end with NUL and are the caller's
 * to free. */
#pragma once

#include "ipe-policy/ipe-policy.h"
#include "trust/trust.h"

/* The canonical form: single blanks, lines that end with \n and have none at their end, no blank line twice,
 * digests in lower case, a version without signs and zeros in front. Comments stay. It means the same. Errors
 * as ipe_policy_parse(). */
int ipe_policy_format(const char *text, size_t size, char **ret, struct error *e);

enum ipe_version_part { IPE_MAJOR, IPE_MINOR, IPE_REVISION };

/* The same bytes with a higher version: the part is raised, what follows it becomes 0. A part at 65535 raises
 * the one before it. -ERANGE if that is not possible. */
int ipe_policy_bump(const char *text, size_t size, enum ipe_version_part part, char **ret, struct error *e);

/* The content of a signed policy. The signature is not judged: trust_verify_attached() does. To be freed.
 * -EBADMSG if der is not PKCS#7 SignedData with content. */
int ipe_signed_content(const void *der, size_t size, char **ret, size_t *ret_size, struct error *e);

/* --- images --- */

struct ipe_layer {
        char *image;     /* its name, or the manifest's digest; printable */
        unsigned number; /* from 1, the bottom */
        char *algorithm, *root_hash;
        bool is_signed; /* somebody signed the root hash */
};

struct ipe_layers {
        struct ipe_layer *items;
        size_t n;
};
void ipe_layers_done(struct ipe_layers *l);

/* Adds the layers of an image manifest (a file; who signed is then not known) or of an OCI layout (a
 * directory, DIRECTORY:NAME for one image), as their annotations org.erofs.dmverity.* describe them. A layer
 * is signed where the layout has a signature over its root hash; with `trust`, one by a certificate of the
 * purpose layer. -EBADMSG for anything malformed, and for layers without a root hash. */
int ipe_layers_read(const char *path, const struct trust_store *trust, struct ipe_layers *layers,
                    struct error *e);

/* What the kernel knows of files in a layer that was opened with its signature, if it has one. Borrowed. */
struct ipe_subject ipe_layer_subject(const struct ipe_layer *layer);

struct ipe_generate_options {
        const char *name;    /* of the policy */
        const char *version; /* "N.N.N" */
        bool by_root_hash;   /* each layer by its root hash, not all that is signed */
};

/* A policy that lets files of these layers execute and denies all else. -EKEYREJECTED names the first layer
 * that nobody signed. */
int ipe_policy_generate(const struct ipe_layers *layers, const struct ipe_generate_options *o, char **ret,
                        struct error *e);

/* --- records --- */

/* What "dm-0" in a record is: records have no digests. */
struct ipe_device {
        const char *name;
        struct ipe_digest root_hash;
};

struct ipe_audit_options {
        const struct ipe_device *devices;
        size_t n_devices;
        const struct ipe_layers *layers; /* those with a signature may be allowed */
        /* A record that no rule is written for, and why. */
        void (*refused)(void *userdata, const char *operation, const char *path, const char *reason);
        void *userdata;
};

struct ipe_audit_result {
        size_t n_records, n_rules, n_refused;
};

/* The policy `text` with the fewest rules more that allow what the records (type 1420, in the form of the
 * kernel's log, the journal or auditd) say was denied, and its version raised. Never allowed: memory and
 * buffers without a file, what an explicit rule denies, what is not on a known device, what nobody signed. */
int ipe_policy_from_audit(const char *text, size_t size, const char *records,
                          const struct ipe_audit_options *o, struct ipe_audit_result *ret_result, char **ret,
                          struct error *e);

/* --- upgrades --- */

/* The policies that a kernel holds: a model of /sys/kernel/security/ipe. */
struct ipe_kernel;
struct ipe_kernel *ipe_kernel_new(void);
struct ipe_kernel *ipe_kernel_free(struct ipe_kernel *k);
DEFINE_CLEANUP(struct ipe_kernel *, ipe_kernel_free)

/* What the kernel answers, 0 or a negative errno, when a policy is written to new_policy, to
 * policies/NAME/update, or 1 to policies/NAME/active or delete. A refused write changes nothing. */
int ipe_kernel_load(struct ipe_kernel *k, const char *text, size_t size, struct error *e);
int ipe_kernel_update(struct ipe_kernel *k, const char *name, const char *text, size_t size, struct error *e);
int ipe_kernel_activate(struct ipe_kernel *k, const char *name, struct error *e);
int ipe_kernel_delete(struct ipe_kernel *k, const char *name, struct error *e);
