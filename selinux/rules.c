/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which rules of the text say something about an access. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "selinux/internal.h"

/* The type in a context, or the bare type. */
static int find_type(const policydb_t *db, const char *context, unsigned *ret, struct error *e)
{
        _cleanup_free_ char *copy = strdup(context);
        char *save = NULL, *type = NULL;

        if (!copy)
                return error_errno(e, -ENOMEM, "%s", context);
        if (!strchr(copy, ':'))
                type = copy;
        else if (strtok_r(copy, ":", &save) && strtok_r(NULL, ":", &save))
                type = strtok_r(NULL, ":", &save);
        *ret = type ? type_number(db, type) : 0;
        return *ret ? 0
                    : error_set(e, -EINVAL, "type '%s': one that the policy knows expected",
                                type ? type : context);
}

static int add_rule(struct selinux_rules *rules, const struct statement *s)
{
        struct selinux_rule *items = reallocarray(rules->items, rules->n + 1, sizeof(*items));
        struct selinux_rule *rule;
        size_t size = 0;
        FILE *f;

        if (!items)
                return -ENOMEM;
        rules->items = items;
        rule = &items[rules->n];
        *rule = (struct selinux_rule){.file = s->file, .line = s->line};
        f = open_memstream(&rule->text, &size);
        if (!f)
                return -ENOMEM;
        rules->n++;
        sexpr_print(f, s->text);
        return fclose(f) == 0 ? 0 : -ENOMEM;
}

void selinux_rules_done(struct selinux_rules *rules)
{
        for (size_t i = 0; i < rules->n; i++)
                free(rules->items[i].text);
        free(rules->items);
        *rules = (struct selinux_rules){};
}

int rules_find(const struct selinux_policy *p, enum selinux_rule_kind kind, const struct access *a,
               struct selinux_rules *ret, struct error *e)
{
        const policydb_t *db = &p->db->p;
        int r = 0;

        *ret = (struct selinux_rules){};
        for (size_t i = 0; r >= 0 && i < p->source.n_statements; i++) {
                const struct statement *s = &p->source.statements[i];
                bool constraint = kind == SELINUX_CONSTRAINT;
                uint32_t given = 0;

                if (s->kind != kind || (!constraint && !statement_is_about(s, a->source, a->target)))
                        continue;
                r = statement_permissions(&p->source, db, sexpr_at(s->text, constraint ? 1 : 3), a->class,
                                          &given, e);
                if (r >= 0 && (given & a->permissions) && add_rule(ret, s) < 0)
                        r = error_errno(e, -ENOMEM, "rules");
        }
        if (r < 0)
                selinux_rules_done(ret);
        return r;
}

int access_resolve(const struct selinux_policy *p, const char *subject, const char *object, const char *class,
                   const char *permission, struct access *ret, struct error *e)
{
        const policydb_t *db = &p->db->p;
        const class_datum_t *datum = find_class_datum(db, class);
        int r;

        *ret = (struct access){.class = class};
        r = find_type(db, subject, &ret->source, e);
        if (r >= 0)
                r = find_type(db, object, &ret->target, e);
        if (r < 0)
                return r;
        if (!datum)
                return error_set(e, -EINVAL, "class '%s': one that the policy knows expected", class);
        ret->permissions = permission_bit(datum, permission);
        if (!ret->permissions)
                return error_set(e, -EINVAL, "permission '%s': one of class %s expected", permission, class);
        return 0;
}

int selinux_policy_find_rules(const struct selinux_policy *p, enum selinux_rule_kind kind,
                              const char *subject, const char *object, const char *class,
                              const char *permission, struct selinux_rules *ret, struct error *e)
{
        struct access a;
        int r = access_resolve(p, subject, object, class, permission, &a, e);

        return r < 0 ? r : rules_find(p, kind, &a, ret, e);
}
