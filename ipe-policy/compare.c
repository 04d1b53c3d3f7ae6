/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What policies say about all files there could be, by examples: rules tell files apart only by the few
 * things that they name, so the examples of every rule stand for all. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

/* The digest that the rule names, or one that none does. */
static struct ipe_digest digest_of(const struct ipe_rule *rule, enum ipe_property_type type)
{
        for (size_t i = 0; i < rule->n_properties; i++)
                if (rule->properties[i].type == type)
                        return rule->properties[i].digest;
        return other_digest;
}

size_t ipe_rule_examples(const struct ipe_rule *rule, struct ipe_subject ret[static IPE_EXAMPLES_MAX])
{
        struct ipe_digest root_hash = digest_of(rule, IPE_DMVERITY_ROOTHASH);
        struct ipe_digest digest = digest_of(rule, IPE_FSVERITY_DIGEST);
        size_t n = 0;

        for (enum origin origin = 0; origin < ORIGINS; origin++)
                for (enum own own = 0; own < OWNS; own++) {
                        struct ipe_subject s = {
                                .boot_verified = origin == INITRAMFS,
                                .dmverity_signature = origin == VERITY_SIGNED,
                                .fsverity_signature = own == FSVERITY_SIGNED,
                        };

                        if (origin >= VERITY)
                                s.dmverity_roothash = root_hash;
                        if (own >= FSVERITY)
                                s.fsverity_digest = digest;
                        /* The initramfs cannot do fs-verity. */
                        if ((origin != INITRAMFS || own == PLAIN) && rule_holds(rule, &s))
                                ret[n++] = s;
                }
        return n;
}

struct comparison {
        const struct ipe_policy *before, *after;
        void (*found)(void *userdata, const struct ipe_difference *d);
        void *userdata;
        struct pair {
                enum ipe_operation operation;
                unsigned before, after;
        } *pairs; /* of deciding lines that were told */
        size_t n_pairs;
};

static int tell_once(struct comparison *c, const struct ipe_difference *d)
{
        struct pair pair = {d->before.operation, d->before.line, d->after.line}, *bigger;

        for (size_t i = 0; i < c->n_pairs; i++)
                if (memcmp(&c->pairs[i], &pair, sizeof(pair)) == 0)
                        return 0;
        bigger = reallocarray(c->pairs, c->n_pairs + 1, sizeof(*bigger));
        if (!bigger)
                return -ENOMEM;
        c->pairs = bigger;
        c->pairs[c->n_pairs++] = pair;
        c->found(c->userdata, d);
        return 0;
}

static int compare_on(struct comparison *c, enum ipe_operation operation, const struct ipe_subject *s)
{
        struct ipe_difference d = {.subject = *s};

        ipe_policy_evaluate(c->before, operation, s, &d.before);
        ipe_policy_evaluate(c->after, operation, s, &d.after);
        return d.before.allow == d.after.allow ? 0 : tell_once(c, &d);
}

static int compare_on_rule(struct comparison *c, enum ipe_operation operation, const struct ipe_rule *rule)
{
        struct ipe_subject examples[IPE_EXAMPLES_MAX];
        size_t n = ipe_rule_examples(rule, examples);
        int r = 0;

        for (size_t i = 0; i < n && r >= 0; i++)
                r = compare_on(c, operation, &examples[i]);
        return r;
}

static int compare_operation(struct comparison *c, enum ipe_operation operation)
{
        static const struct ipe_rule any = {};
        const struct ipe_policy *both[] = {c->before, c->after};
        int r = compare_on_rule(c, operation, &any);

        for (size_t k = 0; k < ELEMENTSOF(both); k++)
                for (size_t i = 0; i < both[k]->n_rules && r >= 0; i++)
                        if (both[k]->rules[i].operation == operation)
                                r = compare_on_rule(c, operation, &both[k]->rules[i]);
        return r;
}

int ipe_policy_compare(const struct ipe_policy *before, const struct ipe_policy *after,
                       void (*found)(void *userdata, const struct ipe_difference *d), void *userdata,
                       struct error *e)
{
        struct comparison c = {.before = before, .after = after, .found = found, .userdata = userdata};
        int r = 0;

        for (enum ipe_operation i = 0; i < IPE_OPERATIONS && r >= 0; i++)
                r = compare_operation(&c, i);
        free(c.pairs);
        return r < 0 ? error_errno(e, r, "comparison") : 0;
}
