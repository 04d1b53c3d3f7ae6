/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ipe-policy info */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "program.h"

/* What decides for a file that nothing vouches for, by operation. */
static int operations_to_json(const struct ipe_policy *p, sd_json_variant **ret)
{
        static const struct ipe_subject nothing = {};
        int r = 0;

        for (enum ipe_operation i = 0; i < IPE_OPERATIONS && r >= 0; i++) {
                struct ipe_decision d;

                ipe_policy_evaluate(p, i, &nothing, &d);
                r = sd_json_variant_set_field_string(ret, ipe_operation_to_string(i),
                                                     d.allow ? "ALLOW" : "DENY");
        }
        return r;
}

static int info_to_json(const struct policy_file *f, const char *version, const char *name,
                        sd_json_variant **ret)
{
        _cleanup_json_ sd_json_variant *operations = NULL;
        int r = operations_to_json(f->policy, &operations);

        if (r < 0)
                return r;
        return sd_json_buildo(
                ret, SD_JSON_BUILD_PAIR_STRING("name", name), SD_JSON_BUILD_PAIR_STRING("version", version),
                SD_JSON_BUILD_PAIR_UNSIGNED("rules", f->policy->n_rules),
                SD_JSON_BUILD_PAIR_BOOLEAN("allows_boot_verified",
                                           ipe_policy_allows_boot_verified(f->policy)),
                SD_JSON_BUILD_PAIR_BOOLEAN("allows_anything", ipe_policy_allows_anything(f->policy)),
                SD_JSON_BUILD_PAIR_VARIANT("unverified", operations),
                SD_JSON_BUILD_PAIR_BOOLEAN("signed", f->is_signed),
                SD_JSON_BUILD_PAIR_STRING("sha256", f->digest));
}

int verb_info(int argc, char **argv)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        _cleanup_file_ struct policy_file f = {};
        char version[32], name[4 * IPE_NAME_MAX + 8];
        struct error e = {};
        int r;

        r = policy_file_open(argv[0], &f, &e);
        if (r < 0)
                return fail(r, &e);
        ipe_printable(f.policy->name, strlen(f.policy->name), name, sizeof(name));
        (void)snprintf(version, sizeof(version), "%u.%u.%u", f.policy->version[0], f.policy->version[1],
                       f.policy->version[2]);
        r = info_to_json(&f, version, name, &v);
        if (r < 0)
                return fail(r, &e);
        if (options.json != JSON_OFF)
                return json_print(v, options.json) < 0 ? EXIT_COULD_NOT_TRY : EXIT_SUCCESS;
        printf("%s %s, %zu rules%s\nsha256 %s\n", name, version, f.policy->n_rules,
               f.is_signed ? ", signed" : "", f.digest);
        printf("what nothing vouches for: %s\n",
               ipe_policy_allows_anything(f.policy) ? "executes" : "does not execute");
        return EXIT_SUCCESS;
}
