/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The policy language of the kernel's Integrity Policy Enforcement LSM, read as Linux 6.12 reads it
 * (security/ipe/policy_parser.c; Documentation/admin-guide/LSM/ipe.rst, "IPE Policy"), and what follows from
 * a policy: decisions, findings, differences. 7.3 has the same language. Writers of policies are in author.h.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

/* The kernel's ASN.1 decoder takes 65535 bytes (-EMSGSIZE above): that bounds the signed policy, and so its
 * text.
 */
#define IPE_POLICY_MAX ((size_t)65535)
#define IPE_NAME_MAX 255u

/* --- the language --- */

enum ipe_operation {
        IPE_EXECUTE,
        IPE_FIRMWARE,
        IPE_KMODULE,
        IPE_KEXEC_IMAGE,
        IPE_KEXEC_INITRAMFS,
        IPE_POLICY,
        IPE_X509_CERT,
        IPE_OPERATIONS, /* how many there are; as a value: none */
};

enum ipe_property_type {
        IPE_BOOT_VERIFIED,
        IPE_DMVERITY_SIGNATURE,
        IPE_FSVERITY_SIGNATURE,
        IPE_DMVERITY_ROOTHASH,
        IPE_FSVERITY_DIGEST,
        IPE_PROPERTIES,
};

/* Where something stands in the text: line and column from 1, all in bytes. A carriage return and line feed
 * end one line. */
struct ipe_place {
        unsigned line, column;
        size_t offset, length;
};

/* Both NULL: no digest. As in a policy both may be empty. */
struct ipe_digest {
        const char *algorithm;
        const char *hex; /* lower case */
};

struct ipe_property {
        enum ipe_property_type type;
        bool value;               /* of the first three types */
        struct ipe_digest digest; /* of the last two */
        struct ipe_place place;
};

struct ipe_rule {
        enum ipe_operation operation;
        bool allow;
        struct ipe_property *properties; /* all must hold */
        size_t n_properties;
        struct ipe_place place;
};

struct ipe_default {
        bool given, allow;
        struct ipe_place place;
};

struct ipe_policy {
        const char *name;
        uint16_t version[3];
        struct ipe_place name_place, version_place; /* of the values */
        struct ipe_default global, defaults[IPE_OPERATIONS];
        struct ipe_rule *rules; /* of all operations, in the order of the text */
        size_t n_rules;
        size_t size; /* bytes of the text that count: up to the first NUL */
        char *text;  /* what the strings above point into */
};

/* "EXECUTE", "boot_verified", … */
const char *ipe_operation_to_string(enum ipe_operation operation);
const char *ipe_property_to_string(enum ipe_property_type type);

/* IPE_OPERATIONS if there is no such operation. */
enum ipe_operation ipe_operation_from_string(const char *name);

/* Parses the text of a policy of size bytes (no NUL needed at its end; as in the kernel, text ends at the
 * first NUL). Errors are those that the kernel's new_policy gives for this text: -EBADMSG for syntax, -EINVAL
 * for a number or digest that is none, -ERANGE for a version part above 65535, -EACCES and -ENAMETOOLONG for
 * names that securityfs refuses, -EMSGSIZE above IPE_POLICY_MAX. The message begins with
 * LINE:COLUMN. */
int ipe_policy_parse(const char *text, size_t size, struct ipe_policy **ret, struct error *e);
struct ipe_policy *ipe_policy_free(struct ipe_policy *p);
DEFINE_CLEANUP(struct ipe_policy *, ipe_policy_free)
#define _cleanup_policy_ _cleanup_(ipe_policy_free_ptr)

/* Reads a version as people write it, "N.N.N" in decimal digits, each part at most 65535. -EINVAL for
 * anything else. */
int ipe_policy_parse_version(const char *text, uint16_t ret[static 3]);

/* Like strcmp() for versions. The kernel activates b after a only when b is not lower. */
int ipe_policy_compare_versions(const uint16_t a[static 3], const uint16_t b[static 3]);

/* Whether something that nothing vouches for may execute: a file without any property, anonymous memory. */
bool ipe_policy_allows_anything(const struct ipe_policy *p);

/* Whether some rule allows an operation with boot_verified=TRUE. */
bool ipe_policy_allows_boot_verified(const struct ipe_policy *p);

/* Copies s for people: what is not printable ASCII, and backslashes, become \xNN. Truncated to fit. */
void ipe_printable(const char *s, size_t n, char *ret, size_t size);

/* --- decisions --- */

/* What a rule is asked about. All zero: a file that nothing vouches for, or anonymous memory. */
struct ipe_subject {
        bool boot_verified, dmverity_signature, fsverity_signature;
        struct ipe_digest dmverity_roothash, fsverity_digest;
};

struct ipe_decision {
        enum ipe_operation operation;
        bool allow;
        const struct ipe_rule *rule; /* that decided; NULL: a default did */
        bool global;                 /* it was the default for all operations */
        unsigned line;               /* of rule or default */
};

void ipe_policy_evaluate(const struct ipe_policy *p, enum ipe_operation operation,
                         const struct ipe_subject *subject, struct ipe_decision *ret);

/* Whether this property holds of the subject, compared as the kernel does: algorithms by strcmp(). */
bool ipe_property_holds(const struct ipe_property *property, const struct ipe_subject *subject);

/* What the kernel's record 1420 says after " rule=", with its quotes. To be freed; NULL when memory ends. */
char *ipe_decision_to_string(const struct ipe_decision *d);

/* "dmverity_signature=TRUE dmverity_roothash=sha256:…", or "no property". To be freed; NULL when memory ends.
 */
char *ipe_subject_to_string(const struct ipe_subject *s);

/* --- findings --- */

enum ipe_severity { IPE_INFO, IPE_WARNING, IPE_ERROR };
const char *ipe_severity_to_string(enum ipe_severity severity);

/* The codes never change their meaning; README.md has the table of them. */
struct ipe_lint_rule {
        const char *code; /* "IPE001" */
        enum ipe_severity severity;
        const char *summary;
};
extern const struct ipe_lint_rule ipe_lint_rules[];
extern const size_t ipe_n_lint_rules;

struct ipe_finding {
        const struct ipe_lint_rule *rule;
        struct ipe_place place;
        const char *message;
        const char *fix;         /* what to do, or NULL */
        const char *replacement; /* for the text at place, or NULL */
};

struct ipe_lint_options {
        bool boot;                         /* the policy is for the initramfs: boot_verified is its purpose */
        bool allow_list;                   /* signed devices are to be named by their root hashes */
        const struct ipe_policy *previous; /* the version must be above this one's; or NULL */
        void (*finding)(void *userdata, const struct ipe_finding *f);
        void *userdata;
};

/* Calls o->finding for each finding, in no particular order. A policy that does not parse is a finding, not
 * an error: only -ENOMEM is. */
int ipe_policy_lint(const char *text, size_t size, const struct ipe_lint_options *o, struct error *e);

/* --- differences --- */

/* A kind of file, by example, about which the policies decide differently. */
struct ipe_difference {
        struct ipe_subject subject;
        struct ipe_decision before, after;
};

/* Calls `found` with an example for each line, of either policy, that decides otherwise than the other
 * policy. */
int ipe_policy_compare(const struct ipe_policy *before, const struct ipe_policy *after,
                       void (*found)(void *userdata, const struct ipe_difference *d), void *userdata,
                       struct error *e);
