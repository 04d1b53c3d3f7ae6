/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The SELinux policy as a thing to ask: compiled from its CIL text or read from its binary form, by libsepol.
 *
 * libsepol keeps the policy that is asked in process-wide state: one thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/error.h"

/* The newest binary format that Linux 6.12 reads. */
#define SELINUX_POLICY_VERSION 33
#define SELINUX_POLICY_MAX ((size_t)16 * 1024 * 1024)

struct selinux_policy;

/* Compiles every *.cil of the directory, in the order of their names, with the 1,024 categories added. Every
 * neverallow is checked. -EINVAL: the text is wrong or a promise is broken; the message has the compiler's
 * file and line. The policy is the caller's. */
int selinux_policy_compile(const char *directory, struct selinux_policy **ret, struct error *e);

/* The same with one more file, `text`, that messages call `name`. */
int selinux_policy_compile_with(const char *directory, const char *name, const char *text,
                                struct selinux_policy **ret, struct error *e);

/* Reads a binary policy. -EINVAL when it is none. */
int selinux_policy_read(const char *path, struct selinux_policy **ret, struct error *e);

struct selinux_policy *selinux_policy_free(struct selinux_policy *p);
DEFINE_CLEANUP(struct selinux_policy *, selinux_policy_free)

/* A rule of the policy's text. One that a macro or block expands to has the place of the call or block. */
enum selinux_rule_kind { SELINUX_OTHER, SELINUX_ALLOW, SELINUX_NEVERALLOW, SELINUX_CONSTRAINT };

struct selinux_counts {
        size_t size; /* bytes of the binary policy */
        size_t classes, types, attributes;
        size_t allow, transitions;    /* entries of the compiled rules */
        size_t dontaudit, permissive; /* both 0 in a policy that hides nothing */
        bool handle_unknown_deny;
};

void selinux_policy_count(const struct selinux_policy *p, struct selinux_counts *ret);

/* What is wrong with a policy. The names are fixed, so that scripts can rely on them. */
struct selinux_finding {
        const char *name;
        bool error;  /* or a warning */
        char *about; /* the type, attribute, path or rule */
        const char *file;
        unsigned line; /* NULL and 0 when it has no place in the text */
};

struct selinux_findings {
        struct selinux_finding *items;
        size_t n;
};

/* Errors: dontaudit, permissive-type, unknown-not-denied, unconfined-type (may write every file that any type
 * may write), idle-type (no rule names it, not even by an attribute). Warnings, of text alone:
 * unused-attribute, repeated-rule (another one gives all that it gives). */
int selinux_policy_check(const struct selinux_policy *p, struct selinux_findings *ret, struct error *e);

/* Adds what is wrong between the labels of the policy's text and a tree. Errors: unlabelled-path; warnings:
 * label-without-path. -EINVAL: the policy has no labels. */
int selinux_policy_check_tree(const struct selinux_policy *p, const char *tree, struct selinux_findings *ret,
                              struct error *e);
void selinux_findings_done(struct selinux_findings *findings);

void selinux_names_free(char **names);

/* Whether a process in context `subject` gets the permission on an object of the class in context `object`
 * (both complete, with level): 1 or 0. Rules and constraints both count. -EINVAL: a context, class or
 * permission that the policy does not know. */
int selinux_policy_allows(const struct selinux_policy *p, const char *subject, const char *object,
                          const char *class, const char *permission, struct error *e);

/* All permissions of the class, or of every class when `class` is NULL, that the subject has on the object.
 * Each entry is "CLASS PERMISSION". A NULL-terminated list, the
 * caller's to free with selinux_names_free(). */
int selinux_policy_query(const struct selinux_policy *p, const char *subject, const char *object,
                         const char *class, char ***ret, struct error *e);

struct selinux_rule {
        const char *file; /* the policy's */
        unsigned line;
        char *text;
};

struct selinux_rules {
        struct selinux_rule *items;
        size_t n;
};

void selinux_rules_done(struct selinux_rules *rules);

/* The rules of the text that are of this kind and about this access; subject and object are types or
 * contexts, of which the type counts. None in a policy that was read in its binary form. -EINVAL: an unknown
 * name. */
int selinux_policy_find_rules(const struct selinux_policy *p, enum selinux_rule_kind kind,
                              const char *subject, const char *object, const char *class,
                              const char *permission, struct selinux_rules *ret, struct error *e);

/* Why an access is denied, and what would allow it. */
enum selinux_verdict {
        SELINUX_ALLOWED,     /* this policy allows it */
        SELINUX_RULE_NEEDED, /* no rule gives it, no promise forbids it */
        SELINUX_FORBIDDEN,   /* a promise forbids it: `rules` are the neverallows, `comment` stands above the
                                first */
        SELINUX_CONSTRAINED, /* rules give it, levels, roles or users do not match: `rules` are the
                                constraints */
        SELINUX_UNKNOWN,     /* the policy has no such name: `comment` says which */
};

struct selinux_explanation {
        enum selinux_verdict verdict;
        struct selinux_rules rules;
        char *comment; /* NULL where there is none */
};

/* Explains one permission on an object of the class; both contexts are complete. 0 with any verdict. */
int selinux_policy_explain(const struct selinux_policy *p, const char *subject, const char *object,
                           const char *class, const char *permission, struct selinux_explanation *ret,
                           struct error *e);

/* The rules that would allow the permissions (separated by spaces), in the words of the policy's class maps
 * where these fit and break no promise: CIL on one line, the caller's to free. */
int selinux_policy_suggest(const struct selinux_policy *p, const char *subject, const char *object,
                           const char *class, const char *permissions, char **ret, struct error *e);
void selinux_explanation_done(struct selinux_explanation *x);
const char *selinux_verdict_name(enum selinux_verdict verdict);

enum selinux_change { SELINUX_REMOVED, SELINUX_ADDED };

/* Called for each difference with the statement in CIL; a negative value ends the comparison and is returned.
 */
typedef int (*selinux_change_t)(enum selinux_change change, const char *statement, void *userdata);

/* Compares what two policies mean: allow rules type by type, whatever attributes and macros they were written
 * with, and every other statement; where both are text also neverallows (type by type) and the labels of
 * files. */
int selinux_policy_diff(const struct selinux_policy *old, const struct selinux_policy *new,
                        selinux_change_t change, void *userdata, struct error *e);

/* What containers of a new type may have beyond container_t. Device names without /dev/; all strings
 * borrowed. */
struct selinux_type_wishes {
        const char *name; /* without _t */
        const char *const *devices;
        size_t n_devices;
        const unsigned *ports; /* TCP and UDP; the type alone listens there */
        size_t n_ports;
        const char *const *capabilities;
        size_t n_capabilities;
        bool execmem;
};

/* Writes the CIL of the type, the caller's to free, after it was compiled with the policy in the directory.
 * -EINVAL: a name that cannot be one. -EPERM: the policy does not take it; the message has the promise it
 * breaks, or says that there is such a type. */
int selinux_policy_new_type(const char *directory, const struct selinux_type_wishes *w, char **ret,
                            struct error *e);
