/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What stands between a subject and an object. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "selinux/internal.h"

const char *selinux_verdict_name(enum selinux_verdict verdict)
{
        static const char *const names[] = {[SELINUX_ALLOWED] = "allowed",
                                            [SELINUX_RULE_NEEDED] = "rule-needed",
                                            [SELINUX_FORBIDDEN] = "forbidden",
                                            [SELINUX_CONSTRAINED] = "constrained",
                                            [SELINUX_UNKNOWN] = "unknown"};

        return names[verdict];
}

void selinux_explanation_done(struct selinux_explanation *x)
{
        selinux_rules_done(&x->rules);
        free(x->comment);
        *x = (struct selinux_explanation){};
}

/* A way to say it: an intention of a class map that gives some of what is wanted. */
struct intention {
        const char *map, *name;
        uint32_t given; /* of the class that is asked about */
};

/* 1 when all that the intention gives, of whatever class, may be given to this source and target. */
static int may_be_given(const struct selinux_policy *p, const struct access *wanted,
                        const struct intention *intention, struct error *e)
{
        int r = 1;

        for (size_t i = 0; r > 0 && i < p->source.n_definitions; i++) {
                const struct sexpr *text = p->source.definitions[i];
                struct access a = *wanted;
                struct selinux_rules rules;

                if (!sexpr_is(text, "classmapping") || !sexpr_same(text, 1, intention->map) ||
                    !sexpr_same(text, 2, intention->name))
                        continue;
                a.class = sexpr_atom(sexpr_at(text, 3), 0);
                if (!a.class)
                        return 0;
                r = statement_permissions(&p->source, &p->db->p, sexpr_at(text, 3), a.class, &a.permissions,
                                          e);
                if (r >= 0)
                        r = rules_find(p, SELINUX_NEVERALLOW, &a, &rules, e);
                if (r < 0)
                        return r;
                r = rules.n == 0;
                selinux_rules_done(&rules);
        }
        return r;
}

/* Whether a is the better way: it gives more of what is wanted for what it gives. */
static bool is_closer(const struct intention *a, const struct intention *b, uint32_t wanted)
{
        return __builtin_popcount(a->given & wanted) * __builtin_popcount(b->given) >
               __builtin_popcount(b->given & wanted) * __builtin_popcount(a->given);
}

/* The intention that fits best and breaks no promise; ret->map is NULL when there is none. */
static int find_intention(const struct selinux_policy *p, const struct access *wanted, struct intention *ret,
                          struct error *e)
{
        int r = 0;

        *ret = (struct intention){.given = 1};
        for (size_t i = 0; r >= 0 && i < p->source.n_definitions; i++) {
                const struct sexpr *text = p->source.definitions[i];
                struct intention found = {sexpr_atom(text, 1), sexpr_atom(text, 2), 0};

                if (!sexpr_is(text, "classmapping"))
                        continue;
                r = statement_permissions(&p->source, &p->db->p, sexpr_at(text, 3), wanted->class,
                                          &found.given, e);
                if (r < 0 || !(found.given & wanted->permissions) ||
                    (ret->map && !is_closer(&found, ret, wanted->permissions)))
                        continue;
                r = may_be_given(p, wanted, &found, e);
                if (r > 0)
                        *ret = found;
        }
        return r;
}

static void print_permissions(FILE *f, const struct selinux_policy *p, const struct access *a)
{
        const class_datum_t *class = find_class_datum(&p->db->p, a->class);
        const char *separator = "";

        (void)fprintf(f, "(%s (", a->class);
        for (unsigned bit = 0; bit < 32; bit++)
                if (a->permissions >> bit & 1) {
                        (void)fprintf(f, "%s%s", separator, permission_name(class, bit));
                        separator = " ";
                }
        (void)fprintf(f, "))");
}

static int write_suggestion(FILE *f, const struct selinux_policy *p, struct access *a, struct error *e)
{
        char *const *names = p->db->p.p_type_val_to_name;
        const char *target = a->source == a->target ? "self" : names[a->target - 1];
        const char *separator = "";
        struct intention intention;
        int r;

        for (; a->permissions; a->permissions &= ~intention.given) {
                r = find_intention(p, a, &intention, e);
                if (r < 0)
                        return r;
                (void)fprintf(f, "%s(allow %s %s ", separator, names[a->source - 1], target);
                separator = " ";
                if (intention.map) {
                        (void)fprintf(f, "(%s (%s))", intention.map, intention.name);
                } else {
                        print_permissions(f, p, a);
                        intention.given = UINT32_MAX;
                }
                (void)fputc(')', f);
        }
        return 0;
}

int selinux_policy_suggest(const struct selinux_policy *p, const char *subject, const char *object,
                           const char *class, const char *permissions, char **ret, struct error *e)
{
        _cleanup_free_ char *copy = strdup(permissions);
        char *save = NULL;
        struct access all = {}, a;
        size_t size = 0;
        FILE *f;
        int r = 0;

        for (char *name = copy ? strtok_r(copy, " ", &save) : NULL; r >= 0 && name;
             name = strtok_r(NULL, " ", &save)) {
                r = access_resolve(p, subject, object, class, name, &a, e);
                a.permissions |= all.permissions;
                all = a;
        }
        if (r < 0)
                return r;
        f = copy ? open_memstream(ret, &size) : NULL;
        if (!f)
                return error_errno(e, -ENOMEM, "suggestion");
        r = write_suggestion(f, p, &all, e);
        if (fclose(f) != 0 && r >= 0)
                r = error_errno(e, -ENOMEM, "suggestion");
        if (r < 0)
                free(*ret);
        return r;
}

static int explain_forbidden(const struct selinux_policy *p, struct selinux_explanation *ret, struct error *e)
{
        const struct selinux_rule *first = &ret->rules.items[0];

        ret->verdict = SELINUX_FORBIDDEN;
        if (source_comment(&p->source, first->file, first->line, &ret->comment) < 0)
                return error_errno(e, -ENOMEM, "explain");
        return 0;
}

static int explain_unknown(struct selinux_explanation *ret, const struct error *why, struct error *e)
{
        ret->verdict = SELINUX_UNKNOWN;
        ret->comment = strdup(why->message);
        return ret->comment ? 0 : error_errno(e, -ENOMEM, "explain");
}

int selinux_policy_explain(const struct selinux_policy *p, const char *subject, const char *object,
                           const char *class, const char *permission, struct selinux_explanation *ret,
                           struct error *e)
{
        struct error why = {};
        uint32_t allowed = 0;
        unsigned reason = 0;
        struct access a;
        int r;

        *ret = (struct selinux_explanation){};
        r = access_resolve(p, subject, object, class, permission, &a, &why);
        if (r >= 0)
                r = allowed_vector(p, subject, object, class, a.permissions, &allowed, &reason, &why);
        if (r == -EINVAL)
                return explain_unknown(ret, &why, e);
        if (r < 0)
                return error_set(e, r, "%s", why.message);
        r = rules_find(p, SELINUX_NEVERALLOW, &a, &ret->rules, e);
        if (r < 0)
                return r;
        if (ret->rules.n > 0)
                return explain_forbidden(p, ret, e);
        if (allowed & a.permissions) {
                ret->verdict = SELINUX_ALLOWED;
                return 0;
        }
        if (!(reason & SEPOL_COMPUTEAV_TE)) {
                ret->verdict = SELINUX_CONSTRAINED;
                return rules_find(p, SELINUX_CONSTRAINT, &a, &ret->rules, e);
        }
        ret->verdict = SELINUX_RULE_NEEDED;
        return 0;
}
