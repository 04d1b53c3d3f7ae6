/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What policies say about all files there could be, by examples. Say that two policies differ about a file,
 * and A and B are the rules that decide. With each digest that neither names replaced by one that nobody
 * names, the same rules still decide: so an example of what A and B both match shows the difference. It is an
 * example of A, or of B, by itself, unless one names a root hash and the other an fs-verity digest. */
#include <errno.h>
#include <stdlib.h>

#include "ipe-policy/internal.h"

/* A digest that no policy names, for devices and files that have one of their own. */
static const struct ipe_digest other_digest = {"*", "*"};

/* Where the content comes from: the kernel knows the initramfs and block devices, and no file is on both. */
enum origin { NOWHERE, INITRAMFS, VERITY, VERITY_SIGNED, ORIGINS };
enum own { PLAIN, FSVERITY, FSVERITY_SIGNED, OWNS };

static bool rule_holds(const struct ipe_rule *rule, const struct ipe_subject *s)
{
        for (size_t i = 0; i < rule->n_properties; i++)
                if (!ipe_property_holds(&rule->properties[i], s))
                        return false;
        return true;
}

static const struct ipe_digest *digest_of(const struct ipe_rule *rule, enum ipe_property_type type)
{
        for (size_t i = 0; rule && i < rule->n_properties; i++)
                if (rule->properties[i].type == type)
                        return &rule->properties[i].digest;
        return NULL;
}

size_t ipe_rule_examples(const struct ipe_rule *a, const struct ipe_rule *b,
                         struct ipe_subject ret[static IPE_EXAMPLES_MAX])
{
        const struct ipe_digest *root_hash =
                digest_of(a, IPE_DMVERITY_ROOTHASH) ?: digest_of(b, IPE_DMVERITY_ROOTHASH) ?: &other_digest;
        const struct ipe_digest *digest =
                digest_of(a, IPE_FSVERITY_DIGEST) ?: digest_of(b, IPE_FSVERITY_DIGEST) ?: &other_digest;
        size_t n = 0;

        for (enum origin origin = 0; origin < ORIGINS; origin++)
                for (enum own own = 0; own < OWNS; own++) {
                        struct ipe_subject s = {
                                .boot_verified = origin == INITRAMFS,
                                .dmverity_signature = origin == VERITY_SIGNED,
                                .fsverity_signature = own == FSVERITY_SIGNED,
                        };

                        if (origin >= VERITY)
                                s.dmverity_roothash = *root_hash;
                        if (own >= FSVERITY)
                                s.fsverity_digest = *digest;
                        /* The initramfs cannot do fs-verity. */
                        if ((origin != INITRAMFS || own == PLAIN) && rule_holds(a, &s) &&
                            (!b || rule_holds(b, &s)))
                                ret[n++] = s;
                }
        return n;
}

/* A text has no more lines than bytes. */
#define LINES_MAX (IPE_POLICY_MAX + 2)

struct comparison {
        const struct ipe_policy *before, *after;
        void (*found)(void *userdata, const struct ipe_difference *d);
        void *userdata;
        /* Which lines were told to decide otherwise, by operation. */
        bool (*told_before)[LINES_MAX], (*told_after)[LINES_MAX];
};

static void compare_on(struct comparison *c, enum ipe_operation operation, const struct ipe_subject *s)
{
        struct ipe_difference d = {.subject = *s};

        ipe_policy_evaluate(c->before, operation, s, &d.before);
        ipe_policy_evaluate(c->after, operation, s, &d.after);
        if (d.before.allow == d.after.allow ||
            (c->told_before[operation][d.before.line] && c->told_after[operation][d.after.line]))
                return;
        c->told_before[operation][d.before.line] = c->told_after[operation][d.after.line] = true;
        c->found(c->userdata, &d);
}

/* Compares on what both rules match; b may be NULL. */
static void compare_on_rules(struct comparison *c, enum ipe_operation operation, const struct ipe_rule *a,
                             const struct ipe_rule *b)
{
        struct ipe_subject examples[IPE_EXAMPLES_MAX];
        size_t n = ipe_rule_examples(a, b, examples);

        for (size_t i = 0; i < n; i++)
                compare_on(c, operation, &examples[i]);
}

/* Whether only their examples together show what both match. */
static bool name_different_digests(const struct ipe_rule *a, const struct ipe_rule *b)
{
        bool root_hash = digest_of(a, IPE_DMVERITY_ROOTHASH), digest = digest_of(a, IPE_FSVERITY_DIGEST);

        return root_hash != digest && root_hash == (digest_of(b, IPE_FSVERITY_DIGEST) != NULL) &&
               digest == (digest_of(b, IPE_DMVERITY_ROOTHASH) != NULL);
}

static void compare_pairs(struct comparison *c, const struct ipe_rule *a)
{
        for (size_t i = 0; i < c->after->n_rules; i++) {
                const struct ipe_rule *b = &c->after->rules[i];

                if (a->operation == b->operation && a->allow != b->allow && name_different_digests(a, b) &&
                    !(c->told_before[a->operation][a->place.line] &&
                      c->told_after[b->operation][b->place.line]))
                        compare_on_rules(c, a->operation, a, b);
        }
}

static void compare(struct comparison *c)
{
        static const struct ipe_rule any = {};

        for (enum ipe_operation i = 0; i < IPE_OPERATIONS; i++)
                compare_on_rules(c, i, &any, NULL);
        for (size_t i = 0; i < c->before->n_rules; i++)
                compare_on_rules(c, c->before->rules[i].operation, &c->before->rules[i], NULL);
        for (size_t i = 0; i < c->after->n_rules; i++)
                compare_on_rules(c, c->after->rules[i].operation, &c->after->rules[i], NULL);
        for (size_t i = 0; i < c->before->n_rules; i++)
                compare_pairs(c, &c->before->rules[i]);
}

int ipe_policy_compare(const struct ipe_policy *before, const struct ipe_policy *after,
                       void (*found)(void *userdata, const struct ipe_difference *d), void *userdata,
                       struct error *e)
{
        _cleanup_free_ bool(*told_before)[LINES_MAX] = calloc(IPE_OPERATIONS, sizeof(*told_before));
        _cleanup_free_ bool(*told_after)[LINES_MAX] = calloc(IPE_OPERATIONS, sizeof(*told_after));
        struct comparison c = {before, after, found, userdata, told_before, told_after};

        if (!told_before || !told_after)
                return error_errno(e, -ENOMEM, "comparison");
        compare(&c);
        return 0;
}
