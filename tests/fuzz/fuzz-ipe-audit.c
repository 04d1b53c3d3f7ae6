/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's log, of anybody's making: nothing in it becomes part of the policy but the rules of known
 * devices. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "ipe-policy/author.h"

#define POLICY "policy_name=a policy_version=1.0.0\nDEFAULT action=DENY\n"

static void ignore(void *userdata, const char *operation, const char *path, const char *reason)
{
}

static void check_rules(const struct ipe_policy *p, size_t n)
{
        PROMISE(p->n_rules == n);
        for (size_t i = 0; i < p->n_rules; i++)
                PROMISE(p->rules[i].allow && p->rules[i].n_properties == 2 &&
                        strcmp(p->rules[i].properties[1].digest.hex, "aa") == 0);
        PROMISE(!ipe_policy_allows_anything(p));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct ipe_layer layer = {(char *)"i", 1, (char *)"sha256", (char *)"aa", true};
        static const struct ipe_layers layers = {&layer, 1};
        static const struct ipe_device device = {"dm-0", {"sha256", "aa"}};
        const struct ipe_audit_options o = {&device, 1, &layers, ignore, NULL};
        _cleanup_policy_ struct ipe_policy *policy = NULL;
        _cleanup_free_ char *records = strndup((const char *)data, size), *text = NULL;
        struct ipe_audit_result result;

        if (!records)
                return 0;
        PROMISE(ipe_policy_from_audit(POLICY, strlen(POLICY), records, &o, &result, &text, NULL) == 0);
        PROMISE(ipe_policy_parse(text, strlen(text), &policy, NULL) == 0);
        check_rules(policy, result.n_rules);
        return 0;
}
