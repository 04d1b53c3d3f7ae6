/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ipe-policy diff */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "subjects.h"

struct differences {
        sd_json_variant *found;
        size_t n;
        int result;
};

static int difference_to_json(const char *name, const char *properties, const struct ipe_difference *d,
                              sd_json_variant **ret)
{
        return sd_json_variant_append_arraybo(
                ret, SD_JSON_BUILD_PAIR_STRING("operation", ipe_operation_to_string(d->before.operation)),
                SD_JSON_BUILD_PAIR_STRING("subject", name),
                SD_JSON_BUILD_PAIR_STRING("properties", properties),
                SD_JSON_BUILD_PAIR_STRING("before", d->before.allow ? "ALLOW" : "DENY"),
                SD_JSON_BUILD_PAIR_UNSIGNED("before_line", d->before.line),
                SD_JSON_BUILD_PAIR_STRING("after", d->after.allow ? "ALLOW" : "DENY"),
                SD_JSON_BUILD_PAIR_UNSIGNED("after_line", d->after.line));
}

static int tell(struct differences *all, const char *name, const struct ipe_difference *d)
{
        _cleanup_free_ char *properties = ipe_subject_to_string(&d->subject);

        if (!properties)
                return -ENOMEM;
        all->n++;
        if (options.json != JSON_OFF)
                return difference_to_json(name, properties, d, &all->found);
        printf("%c %s: %s (%s): line %u %s, now line %u %s\n", d->after.allow ? '+' : '-',
               ipe_operation_to_string(d->before.operation), name, properties, d->before.line,
               d->before.allow ? "allows" : "denies", d->after.line, d->after.allow ? "allows" : "denies");
        return 0;
}

static void tell_example(void *userdata, const struct ipe_difference *d)
{
        const struct ipe_subject *s = &d->subject;
        struct differences *all = userdata;
        bool is_nothing =
                !s->boot_verified && !s->dmverity_roothash.algorithm && !s->fsverity_digest.algorithm;
        int r = tell(all,
                     is_nothing ? "anonymous memory, and files that nothing vouches for"
                                : "a file, for example",
                     d);

        if (r < 0)
                all->result = r;
}

static int compare_layers(const struct ipe_policy *before, const struct ipe_policy *after,
                          struct differences *all, struct error *e)
{
        _cleanup_(subjects_done) struct subjects layers = {};
        int r = subjects_from_images(&layers, e);

        for (size_t i = 0; i < layers.n && r >= 0; i++) {
                struct ipe_difference d = {.subject = layers.items[i].subject};

                ipe_policy_evaluate(before, IPE_EXECUTE, &d.subject, &d.before);
                ipe_policy_evaluate(after, IPE_EXECUTE, &d.subject, &d.after);
                if (d.before.allow != d.after.allow)
                        r = tell(all, layers.items[i].name, &d);
        }
        return r;
}

static int compare(char **paths, struct differences *all, struct error *e)
{
        _cleanup_file_ struct policy_file before = {}, after = {};
        int r;

        if ((r = policy_file_open(paths[0], &before, e)) < 0 ||
            (r = policy_file_open(paths[1], &after, e)) < 0)
                return r;
        if (options.images.n > 0)
                r = compare_layers(before.policy, after.policy, all, e);
        else
                r = ipe_policy_compare(before.policy, after.policy, tell_example, all, e);
        if (r >= 0)
                r = all->result;
        if (r >= 0 && options.json != JSON_OFF && !all->found)
                r = sd_json_variant_new_array(&all->found, NULL, 0);
        return r >= 0 && all->found ? json_print(all->found, options.json) : r;
}

int verb_diff(int argc, char **argv)
{
        struct differences all = {};
        struct error e = {};
        int r = compare(argv, &all, &e);

        sd_json_variant_unref(all.found);
        if (r < 0)
                return fail(r, &e);
        return all.n > 0 ? EXIT_ANSWER_IS_NO : EXIT_SUCCESS;
}
