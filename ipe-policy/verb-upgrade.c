/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ipe-policy simulate-upgrade */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/table.h"
#include "program.h"

struct simulation {
        struct ipe_kernel *kernel;
        sd_json_variant *steps;
        struct table *table;
};

/* One write to a file below /sys/kernel/security/ipe, and the kernel's answer. */
static int note_step(struct simulation *s, const char *policy, const char *file, int answer,
                     const char *message)
{
        const char *name = answer < 0 ? strerrorname_np(-answer) : "";

        if (s->table)
                return table_add(s->table,
                                 (const char *const[]){policy, file, answer < 0 ? name : "ok", message}, 4);
        return sd_json_variant_append_arraybo(
                &s->steps, SD_JSON_BUILD_PAIR_STRING("policy", policy),
                SD_JSON_BUILD_PAIR_STRING("file", file), SD_JSON_BUILD_PAIR_BOOLEAN("accepted", answer >= 0),
                SD_JSON_BUILD_PAIR_CONDITION(answer < 0, "errno", SD_JSON_BUILD_STRING(name)),
                SD_JSON_BUILD_PAIR_CONDITION(answer < 0, "message", SD_JSON_BUILD_STRING(message)));
}

/* new_policy, where that name is loaded update, and then active. *ret_active: it is. */
static int load(struct simulation *s, const char *path, const struct policy_file *f, bool *ret_active)
{
        _cleanup_policy_ struct ipe_policy *policy = NULL;
        char file[IPE_NAME_MAX + 32];
        struct error e = {};
        int answer, r;

        *ret_active = false;
        answer = ipe_kernel_load(s->kernel, f->text, f->size, &e);
        r = note_step(s, path, "new_policy", answer, e.message);
        if (r < 0 || ipe_policy_parse(f->text, f->size, &policy, NULL) < 0)
                return r;
        if (answer == -EEXIST) {
                struct error u = {};

                (void)snprintf(file, sizeof(file), "policies/%s/update", policy->name);
                answer = ipe_kernel_update(s->kernel, policy->name, f->text, f->size, &u);
                r = note_step(s, path, file, answer, u.message);
        }
        if (r < 0 || answer < 0)
                return r;
        e = (struct error){};
        (void)snprintf(file, sizeof(file), "policies/%s/active", policy->name);
        answer = ipe_kernel_activate(s->kernel, policy->name, &e);
        *ret_active = answer == 0;
        return note_step(s, path, file, answer, e.message);
}

static int simulate(int argc, char **argv, struct simulation *s, bool *ret_active, struct error *e)
{
        int r = 0;

        for (int i = 0; i < argc && r >= 0; i++) {
                _cleanup_file_ struct policy_file f = {};

                r = policy_file_read(argv[i], &f, e);
                if (r < 0)
                        return r;
                r = load(s, argv[i], &f, ret_active);
                if (r >= 0 && i == 0 && !*ret_active)
                        return error_set(e, -EBADMSG, "%s: a policy that the kernel can have active expected",
                                         argv[0]);
        }
        if (r >= 0)
                r = s->table ? table_print(s->table) : json_print(s->steps, options.json);
        return r < 0 ? error_errno(e, r == -EINVAL ? -EIO : r, "standard output") : 0;
}

int verb_simulate_upgrade(int argc, char **argv)
{
        static const char *const headings[] = {"POLICY", "WRITTEN TO", "ANSWER", "WHY"};
        _cleanup_(ipe_kernel_free_ptr) struct ipe_kernel *kernel = ipe_kernel_new();
        struct simulation s = {.kernel = kernel};
        struct error e = {};
        bool active = false;
        int r;

        if (options.json == JSON_OFF)
                s.table = table_new(headings, ELEMENTSOF(headings));
        if (!kernel || (options.json == JSON_OFF && !s.table))
                return fail(-ENOMEM, &e);
        r = simulate(argc, argv, &s, &active, &e);
        table_free(s.table);
        sd_json_variant_unref(s.steps);
        if (r < 0)
                return fail(r, &e);
        return active ? EXIT_SUCCESS : EXIT_ANSWER_IS_NO;
}
