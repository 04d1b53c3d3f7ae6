/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sepol/policydb.h>
#include <sepol/policydb/policydb.h>
#include <sepol/policydb/services.h>
#include <stdint.h>

#include "selinux/algebra.h"
#include "selinux/selinux.h"
#include "selinux/sexpr.h"

/* Types by a name, bit value - 1 for each; the length in words is that of all the policy's sets. */
struct named_set {
        const char *name;
        word_t *types;
};

enum target {
        TARGET_TYPES,
        TARGET_SELF,
        TARGET_OTHER, /* notself */
};

/* A statement with its place; of allow and neverallow also whom it is about. */
struct statement {
        const struct sexpr *text;
        const char *file;
        unsigned line;
        bool called; /* what a macro does */
        enum selinux_rule_kind kind;
        word_t *source, *types;
        enum target target;
};

struct source_file {
        char *path, *text;
        size_t size;
};

/* What a policy says in text, once the compiler has expanded macros and blocks and resolved names. */
struct source {
        struct source_file *files;
        size_t n_files;
        struct sexpr_tree tree;
        struct statement *statements;
        size_t n_statements;
        const struct sexpr **definitions; /* of class maps and named permissions */
        size_t n_definitions;
        struct named_set *sets; /* attributes, and types under all their names */
        size_t n_sets;
        size_t words;
        word_t *all;
};

struct selinux_policy {
        sepol_policydb_t *db;
        void *image; /* its binary form */
        size_t size;
        struct source source; /* empty when the policy was read in its binary form */
        char *labels;         /* file_contexts */
};

/* policy.c: writes the policy in its binary form, from which it is asked. */
int policy_keep_image(struct selinux_policy *p, struct error *e);

/* What the policy allows, and why it does not allow what is wanted: SEPOL_COMPUTEAV_*. */
int allowed_vector(const struct selinux_policy *p, const char *subject, const char *object, const char *class,
                   uint32_t wanted, uint32_t *ret, unsigned *ret_reason, struct error *e);

/* source.c: reads every *.cil of the directory, in the order of their names. */
int source_read(const char *directory, struct source *s, struct error *e);
int source_add(struct source *s, const char *path, char *text, size_t size, struct error *e);
void source_done(struct source *s);

/* The file's text with a mark before each statement that stands on top: its line, and the number of the file.
 */
int source_mark(const struct source *s, size_t file, char **ret, size_t *ret_size, struct error *e);

/* The comment that stands nearest above a rule, on one line; the caller's to free. */
int source_comment(const struct source *s, const char *path, unsigned line, char **ret);

/* statements.c: from the resolved text, which becomes the source's. */
int statements_find(struct source *s, const policydb_t *db, char *text, size_t size, struct error *e);

/* Whether an allow or neverallow is about this source and this target. */
bool statement_is_about(const struct statement *s, unsigned source, unsigned target);

/* permissions.c: the permissions of the class in (class (permission…)), through class maps. 0 when it is
 * about others. */
int statement_permissions(const struct source *s, const policydb_t *db, const struct sexpr *permissions,
                          const char *class, uint32_t *ret, struct error *e);

/* rules.c */
struct access {
        unsigned source, target; /* types */
        const char *class;       /* borrowed */
        uint32_t permissions;
};

int access_resolve(const struct selinux_policy *p, const char *subject, const char *object, const char *class,
                   const char *permission, struct access *ret, struct error *e);

/* The rules of this kind about any of the permissions. */
int rules_find(const struct selinux_policy *p, enum selinux_rule_kind kind, const struct access *a,
               struct selinux_rules *ret, struct error *e);

/* names.c: what the policy calls its types, classes and permissions. 0: unknown. */
unsigned type_number(const policydb_t *db, const char *name);
const class_datum_t *find_class_datum(const policydb_t *db, const char *name);
uint32_t permission_bit(const class_datum_t *class, const char *name);
uint32_t permission_all(const class_datum_t *class);
const char *permission_name(const class_datum_t *class, unsigned bit);

/* check.c; place may be NULL. */
int findings_add(struct selinux_findings *f, const char *name, bool error, const char *about,
                 const struct statement *place);

/* check-text.c */
int findings_of_text(const struct selinux_policy *p, struct selinux_findings *f, struct error *e);

/* A list of names while it grows; items is NULL-terminated from the first name on. */
struct names {
        char **items;
        size_t n;
};

int names_add(struct names *names, const char *name);

/* Sorts and hands over; a list without names is a list that holds the NULL alone. */
int names_finish(struct names *names, char ***ret);
