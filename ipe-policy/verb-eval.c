/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ipe-policy eval, ipe-policy explain */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "program.h"
#include "subjects.h"

enum kernel { LINUX_6_12, LINUX_7_3 };

static enum ipe_operation operation_option(struct error *e)
{
        enum ipe_operation operation = ipe_operation_from_string(options.operation ?: "EXECUTE");

        if (operation == IPE_OPERATIONS)
                (void)error_set(e, -EDOM,
                                "--op: EXECUTE, FIRMWARE, KMODULE, KEXEC_IMAGE, KEXEC_INITRAMFS, POLICY or "
                                "X509_CERT expected, found \"%s\"",
                                options.operation);
        return operation;
}

/* The first property that does not hold of the subject; there is one in every rule before the one that
 * decides. */
static const struct ipe_property *mismatch(const struct ipe_rule *rule, const struct ipe_subject *s)
{
        for (size_t i = 0; i < rule->n_properties; i++)
                if (!ipe_property_holds(&rule->properties[i], s))
                        return &rule->properties[i];
        return NULL;
}

/* The next rule that is asked, from *i on; NULL when all before the one that decides were. */
static const struct ipe_rule *next_asked(const struct ipe_policy *p, const struct ipe_decision *d, size_t *i)
{
        while (*i < p->n_rules && &p->rules[*i] != d->rule) {
                const struct ipe_rule *rule = &p->rules[(*i)++];

                if (rule->operation == d->operation)
                        return rule;
        }
        return NULL;
}

static void explain_rules(const struct ipe_policy *p, const struct ipe_subject *s,
                          const struct ipe_decision *d)
{
        const struct ipe_rule *rule;

        for (size_t i = 0; (rule = next_asked(p, d, &i));) {
                const struct ipe_property *property = mismatch(rule, s);

                if (!property)
                        continue;
                printf("  line %u does not match: %s%s\n", rule->place.line,
                       ipe_property_to_string(property->type),
                       property->digest.algorithm ? " is another"
                       : property->value          ? " is not TRUE"
                                                  : " is not FALSE");
        }
        printf("  line %u decides%s\n", d->line,
               d->rule     ? ""
               : d->global ? ": no rule matches, no default for the operation"
                           : ": no rule matches");
}

static int rules_to_json(const struct ipe_policy *p, const struct ipe_subject *s,
                         const struct ipe_decision *d, sd_json_variant **ret)
{
        const struct ipe_rule *rule;
        int r = sd_json_variant_new_array(ret, NULL, 0);

        for (size_t i = 0; r >= 0 && (rule = next_asked(p, d, &i));) {
                const struct ipe_property *property = mismatch(rule, s);

                if (property)
                        r = sd_json_variant_append_arraybo(
                                ret, SD_JSON_BUILD_PAIR_UNSIGNED("line", rule->place.line),
                                SD_JSON_BUILD_PAIR_STRING("property",
                                                          ipe_property_to_string(property->type)));
        }
        return r;
}

/* Grammar and decisions are the same in both kernels; what is asked about, and which keys count, is not. */
static void explain_hooks(enum ipe_operation operation, unsigned kernel)
{
        if (operation == IPE_EXECUTE)
                printf("  asked when a program starts, a file is mapped executable, memory is made "
                       "executable%s\n"
                       "  not asked when executable memory becomes writable, nor for a script given to its "
                       "interpreter%s\n",
                       kernel == LINUX_7_3 ? ", an interpreter asks (AT_EXECVE_CHECK)" : "",
                       kernel == LINUX_7_3 ? " that does not ask" : "");
        else
                printf("  asked when the kernel reads such a file, or is given it in a buffer, which has no "
                       "property\n");
        printf("  dmverity_signature counts by a key of the secondary or the platform keyring%s\n",
               kernel == LINUX_7_3 ? ", or of .dm-verity once that is filled and restricted" : "");
}

struct question {
        const struct ipe_policy *policy;
        enum ipe_operation operation;
        bool explain;
        unsigned kernel;
        sd_json_variant *answers;
        bool denied;
};

static int add_answer(struct question *q, const struct subject *s, const struct ipe_decision *d,
                      const char *properties, const char *rule)
{
        _cleanup_json_ sd_json_variant *asked = NULL;
        int r = q->explain ? rules_to_json(q->policy, &s->subject, d, &asked) : 0;

        if (r < 0)
                return r;
        return sd_json_variant_append_arraybo(
                &q->answers, SD_JSON_BUILD_PAIR_STRING("subject", s->name),
                SD_JSON_BUILD_PAIR_STRING("properties", properties),
                SD_JSON_BUILD_PAIR_STRING("operation", ipe_operation_to_string(d->operation)),
                SD_JSON_BUILD_PAIR_STRING("action", d->allow ? "ALLOW" : "DENY"),
                SD_JSON_BUILD_PAIR_UNSIGNED("line", d->line), SD_JSON_BUILD_PAIR_STRING("rule", rule),
                SD_JSON_BUILD_PAIR_CONDITION(asked != NULL, "not_matching", SD_JSON_BUILD_VARIANT(asked)));
}

static void print_answer(const struct question *q, const struct subject *s, const struct ipe_decision *d,
                         const char *properties, const char *rule)
{
        printf("%s: %s (%s), line %u: rule=%s\n", s->name, d->allow ? "allowed" : "denied", properties,
               d->line, rule);
        if (!q->explain)
                return;
        explain_rules(q->policy, &s->subject, d);
        explain_hooks(q->operation, q->kernel);
}

static int answer(struct question *q, const struct subject *s, struct error *e)
{
        _cleanup_free_ char *rule = NULL, *properties = NULL;
        struct ipe_decision d;
        int r = 0;

        ipe_policy_evaluate(q->policy, q->operation, &s->subject, &d);
        q->denied = q->denied || !d.allow;
        rule = ipe_decision_to_string(&d);
        properties = ipe_subject_to_string(&s->subject);
        if (!rule || !properties)
                return error_errno(e, -ENOMEM, "answer");
        if (options.json == JSON_OFF)
                print_answer(q, s, &d, properties, rule);
        else
                r = add_answer(q, s, &d, properties, rule);
        return r < 0 ? error_errno(e, -EIO, "JSON") : 0;
}

static int ask(const char *path, struct question *q, struct error *e)
{
        static const char *const kernels[] = {[LINUX_6_12] = "6.12", [LINUX_7_3] = "7.3"};
        _cleanup_(subjects_done) struct subjects subjects = {};
        _cleanup_file_ struct policy_file f = {};
        int r;

        q->operation = operation_option(e);
        if (q->operation == IPE_OPERATIONS)
                return -EDOM;
        if ((r = choose("kernel", options.kernel, kernels, ELEMENTSOF(kernels), &q->kernel, e)) < 0 ||
            (r = policy_file_open(path, &f, e)) < 0 || (r = subjects_from_options(&subjects, e)) < 0)
                return r;
        q->policy = f.policy;
        for (size_t i = 0; i < subjects.n && r >= 0; i++)
                r = answer(q, &subjects.items[i], e);
        return r;
}

static int run(const char *path, bool explain)
{
        struct question q = {.explain = explain};
        struct error e = {};
        int r = ask(path, &q, &e);

        if (r >= 0 && q.answers && json_print(q.answers, options.json) < 0)
                r = error_errno(&e, -EIO, "standard output");
        sd_json_variant_unref(q.answers);
        if (r < 0)
                return fail(r, &e);
        return q.denied ? EXIT_ANSWER_IS_NO : EXIT_SUCCESS;
}

int verb_eval(int argc, char **argv)
{
        return run(argv[0], false);
}

int verb_explain(int argc, char **argv)
{
        return run(argv[0], true);
}
