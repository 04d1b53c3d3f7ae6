/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The SELinux policy as a thing to ask: compiled from its CIL text or read from its binary form, by libsepol.
 *
 * libsepol keeps the policy that is asked in process-wide state: one policy at a time, one thread. */
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

/* Types that no rule names, as source or target, not even by an attribute: a NULL-terminated list of names,
 * the caller's to free with its strings. */
int selinux_policy_idle_types(const struct selinux_policy *p, char ***ret, struct error *e);
void selinux_names_free(char **names);

/* Whether a process in context `subject` gets the permission on an object of the class in context `object`
 * (both complete, with level): 1 or 0. Rules and constraints both count. -EINVAL: a context, class or
 * permission that the policy does not know. */
int selinux_policy_allows(const struct selinux_policy *p, const char *subject, const char *object,
                          const char *class, const char *permission, struct error *e);

/* All permissions of the class, or of every class when `class` is NULL, that the subject has on the object.
 * Each entry is "CLASS PERMISSION". As selinux_policy_idle_types() returns it. */
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
