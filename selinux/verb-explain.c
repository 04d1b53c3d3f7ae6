/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "selinux/avc.h"
#include "selinux/program.h"

#define DENIALS_MAX 65536
#define MALFORMED_SHOWN 10

/* One permission on one kind of object, however often it was denied. */
struct denial {
        char source[256], target[256], class[64], permission[64];
        size_t count;
        struct selinux_explanation explanation;
};

struct denials {
        struct denial *items[DENIALS_MAX];
        size_t n;
        void *tree;
        size_t malformed;
};

static int compare(const void *a, const void *b)
{
        const struct denial *x = a, *y = b;
        int r = strcmp(x->source, y->source);

        if (r == 0)
                r = strcmp(x->target, y->target);
        if (r == 0)
                r = strcmp(x->class, y->class);
        return r != 0 ? r : strcmp(x->permission, y->permission);
}

static int compare_items(const void *a, const void *b)
{
        return compare(*(struct denial *const *)a, *(struct denial *const *)b);
}

static void keep_nothing(void *item)
{
        (void)item; /* the array has it */
}

static void denials_free(struct denials **d)
{
        if (!*d)
                return;
        tdestroy((*d)->tree, keep_nothing);
        for (size_t i = 0; i < (*d)->n; i++) {
                selinux_explanation_done(&(*d)->items[i]->explanation);
                free((*d)->items[i]);
        }
        free(*d);
}

static int add_denial(struct denials *d, const struct avc *avc, const char *permission, struct error *e)
{
        struct denial *new = calloc(1, sizeof(*new)), **found;

        if (!new)
                return error_errno(e, -ENOMEM, "records");
        (void)snprintf(new->source, sizeof(new->source), "%s", avc->source);
        (void)snprintf(new->target, sizeof(new->target), "%s", avc->target);
        (void)snprintf(new->class, sizeof(new->class), "%s", avc->class);
        (void)snprintf(new->permission, sizeof(new->permission), "%s", permission);
        found = tsearch(new, &d->tree, compare);
        if (!found || *found != new)
                free(new);
        if (!found)
                return error_errno(e, -ENOMEM, "records");
        (*found)->count++;
        if (*found != new)
                return 0;
        d->items[d->n++] = new;
        return d->n < DENIALS_MAX ? 0
                                  : error_set(e, -E2BIG, "records: fewer than %d different denials expected",
                                              DENIALS_MAX);
}

static int add_record(struct denials *d, struct avc *avc, struct error *e)
{
        char *save = NULL;
        int r = 0;

        for (char *p = strtok_r(avc->permissions, " ", &save); r >= 0 && p; p = strtok_r(NULL, " ", &save))
                r = add_denial(d, avc, p, e);
        return r;
}

static int add_line(struct denials *d, const char *line, size_t n, size_t number, struct error *e)
{
        struct error why = {};
        struct avc avc;
        int r = avc_parse(line, n, &avc, &why);

        if (r < 0 && d->malformed++ < MALFORMED_SHOWN)
                (void)log_error(0, "line %zu: %s", number, why.message);
        return r > 0 && avc.denied ? add_record(d, &avc, e) : 0;
}

/* Lines of any length; what a long one has beyond AVC_LINE_MAX is not looked at. */
static int read_records(FILE *f, struct denials *d, struct error *e)
{
        char line[AVC_LINE_MAX];
        size_t n = 0, number = 1;
        int c, r = 0;

        do {
                c = getc_unlocked(f);
                if (c != '\n' && c != EOF && n < sizeof(line))
                        line[n++] = (char)c;
                if (c == '\n' || c == EOF) {
                        r = add_line(d, line, n, number++, e);
                        n = 0;
                }
        } while (r >= 0 && c != EOF);
        return r >= 0 && ferror(f) ? error_errno(e, -EIO, "records") : r;
}

/* Denials of the same kind, with the same explanation, are told together. */
static bool same_outcome(const struct denial *a, const struct denial *b)
{
        const struct selinux_explanation *x = &a->explanation, *y = &b->explanation;

        if (strcmp(a->source, b->source) != 0 || strcmp(a->target, b->target) != 0 ||
            strcmp(a->class, b->class) != 0 || x->verdict != y->verdict || x->rules.n != y->rules.n)
                return false;
        return x->rules.n == 0 || strcmp(x->rules.items[0].text, y->rules.items[0].text) == 0;
}

/* Denials that are told together. */
struct group {
        struct denial *const *items;
        size_t n, count;
        char *permissions, *suggestion;
};

static void group_done(struct group *g)
{
        free(g->permissions);
        free(g->suggestion);
}

static int make_group(const struct selinux_policy *p, struct denial *const *items, size_t n,
                      struct group *ret, struct error *e)
{
        const struct denial *first = items[0];
        size_t size = 0;
        FILE *f;

        *ret = (struct group){.items = items, .n = n};
        f = open_memstream(&ret->permissions, &size);
        if (!f)
                return error_errno(e, -ENOMEM, "records");
        for (size_t i = 0; i < n; i++) {
                (void)fprintf(f, i > 0 ? " %s" : "%s", items[i]->permission);
                ret->count = items[i]->count > ret->count ? items[i]->count : ret->count;
        }
        if (fclose(f) != 0)
                return error_errno(e, -ENOMEM, "records");
        return first->explanation.verdict == SELINUX_RULE_NEEDED
                       ? selinux_policy_suggest(p, first->source, first->target, first->class,
                                                ret->permissions, &ret->suggestion, e)
                       : 0;
}

static void print_group(const struct group *g)
{
        const struct denial *first = g->items[0];
        const struct selinux_explanation *x = &first->explanation;

        printf("%s -> %s: %s { %s }\n    %s", first->source, first->target, first->class, g->permissions,
               selinux_verdict_name(x->verdict));
        if (g->suggestion)
                printf(": %s", g->suggestion);
        if (x->comment && x->comment[0])
                printf(": %s", x->comment);
        printf("\n");
        for (size_t i = 0; i < x->rules.n; i++)
                printf("    %s:%u: %s\n", x->rules.items[i].file, x->rules.items[i].line,
                       x->rules.items[i].text);
}

static int group_to_json(const struct group *g, sd_json_variant **ret)
{
        const struct denial *first = g->items[0];
        const struct selinux_explanation *x = &first->explanation;
        _cleanup_json_ sd_json_variant *permissions = NULL, *rules = NULL;
        int r = sd_json_variant_new_array(&permissions, NULL, 0);

        for (size_t i = 0; r >= 0 && i < g->n; i++)
                r = sd_json_variant_append_arrayb(&permissions,
                                                  SD_JSON_BUILD_STRING(g->items[i]->permission));
        if (r >= 0)
                r = rules_to_json(&x->rules, &rules);
        return r < 0 ? r
                     : sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("source", first->source),
                                      SD_JSON_BUILD_PAIR_STRING("target", first->target),
                                      SD_JSON_BUILD_PAIR_STRING("class", first->class),
                                      SD_JSON_BUILD_PAIR_VARIANT("permissions", permissions),
                                      SD_JSON_BUILD_PAIR_UNSIGNED("count", g->count),
                                      SD_JSON_BUILD_PAIR_STRING("verdict", selinux_verdict_name(x->verdict)),
                                      SD_JSON_BUILD_PAIR_CONDITION(!!g->suggestion, "suggestion",
                                                                   SD_JSON_BUILD_STRING(g->suggestion)),
                                      SD_JSON_BUILD_PAIR_CONDITION(!!x->comment, "comment",
                                                                   SD_JSON_BUILD_STRING(x->comment)),
                                      SD_JSON_BUILD_PAIR_VARIANT("rules", rules));
}

static int add_group(const struct group *g, sd_json_variant **list)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        int r = group_to_json(g, &v);

        return r < 0 ? r : sd_json_variant_append_array(list, v);
}

static int print_all(const struct selinux_policy *p, const struct denials *d, struct error *e)
{
        _cleanup_json_ sd_json_variant *list = NULL;
        int r = sd_json_variant_new_array(&list, NULL, 0);
        size_t n;

        for (size_t i = 0; r >= 0 && i < d->n; i += n) {
                _cleanup_(group_done) struct group g = {};

                for (n = 1; i + n < d->n && same_outcome(d->items[i], d->items[i + n]);)
                        n++;
                r = make_group(p, &d->items[i], n, &g, e);
                if (r >= 0 && options.json == JSON_OFF)
                        print_group(&g);
                else if (r >= 0)
                        r = add_group(&g, &list);
        }
        return r < 0 || options.json == JSON_OFF ? r : json_print(list, options.json);
}

static int explain_all(const struct selinux_policy *p, struct denials *d, bool *ret_refused, struct error *e)
{
        int r = 0;

        *ret_refused = false;
        qsort(d->items, d->n, sizeof(struct denial *), compare_items);
        for (size_t i = 0; r >= 0 && i < d->n; i++) {
                struct denial *x = d->items[i];

                r = selinux_policy_explain(p, x->source, x->target, x->class, x->permission, &x->explanation,
                                           e);
                *ret_refused |= r >= 0 && (x->explanation.verdict == SELINUX_FORBIDDEN ||
                                           x->explanation.verdict == SELINUX_CONSTRAINED);
        }
        return r;
}

int run_explain(int argc, char **argv)
{
        _cleanup_(selinux_policy_free_ptr) struct selinux_policy *p = NULL;
        _cleanup_(denials_free) struct denials *d = calloc(1, sizeof(*d));
        _cleanup_fclose_ FILE *f = NULL;
        struct error e = {};
        bool refused = false;
        int r;

        r = d ? open_policy(&argc, &argv, &p, &e) : error_errno(&e, -ENOMEM, "records");
        if (r >= 0 && argc > 0) {
                f = fopen(argv[0], "re");
                if (!f)
                        r = error_errno(&e, -errno, "%s", argv[0]);
        }
        if (r >= 0)
                r = read_records(f ? f : stdin, d, &e);
        if (r >= 0)
                r = explain_all(p, d, &refused, &e);
        if (r >= 0)
                r = print_all(p, d, &e);
        if (r < 0)
                return could_not_try(r, &e);
        if (d->malformed > 0)
                return could_not_try(-EINVAL,
                                     &(struct error){"some records are malformed and were left out"});
        return refused ? EXIT_ANSWER_IS_NO : 0;
}
