/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What two policies mean, compared: rules without attributes, and every other statement of the compiled
 * policy. */
#include <errno.h>
#include <sepol/kernel_to_cil.h>
#include <stdlib.h>
#include <string.h>

#include "selinux/matrix.h"

struct comparison {
        const struct selinux_policy *sides[2]; /* old, new */
        selinux_change_t report;
        void *userdata;
        struct error *e;
};

static int report(const struct comparison *c, enum selinux_change change, const char *text)
{
        return c->report(change, text, c->userdata);
}

/* --- rules --- */

static int report_permissions(const struct comparison *c, enum selinux_change change, const char *keyword,
                              const char *source, const char *target, const struct class_names *class,
                              uint64_t permissions)
{
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        FILE *f;
        int r;

        if (!permissions)
                return 0;
        f = open_memstream(&text, &size);
        if (!f)
                return error_errno(c->e, -ENOMEM, "differences");
        (void)fprintf(f, "(%s %s %s (%s (", keyword, source, target, class->name);
        for (size_t i = 0; i < class->n; i++)
                if (permissions >> i & 1) {
                        permissions &= ~((uint64_t)1 << i);
                        (void)fprintf(f, permissions ? "%s " : "%s", class->permissions[i]);
                }
        (void)fputs(")))", f);
        r = fclose(f) == 0 ? 0 : error_errno(c->e, -ENOMEM, "differences");
        return r < 0 ? r : report(c, change, text);
}

/* What one source may do with one target; NULL: nothing. */
static int compare_cells(const struct comparison *c, const struct numbering *n, const char *keyword,
                         size_t source, size_t target, const uint64_t *old, const uint64_t *new)
{
        int r = 0;

        for (size_t class = 0; r >= 0 && class < n->n_classes; class ++) {
                uint64_t before = old ? old[class] : 0, after = new ? new[class] : 0;

                r = report_permissions(c, SELINUX_REMOVED, keyword, n->types[source], n->types[target],
                                       &n->classes[class], before & ~after);
                if (r >= 0)
                        r = report_permissions(c, SELINUX_ADDED, keyword, n->types[source], n->types[target],
                                               &n->classes[class], after & ~before);
        }
        return r;
}

static int compare_row(const struct comparison *c, const struct numbering *n, struct matrix *const *m,
                       const char *keyword, size_t source)
{
        int r = 0;

        for (size_t target = 0; r >= 0 && target < n->n_types; target++) {
                const uint64_t *old = matrix_get(m[0], target), *new = matrix_get(m[1], target);
                bool same = old && new && memcmp(old, new, n->n_classes * sizeof(*old)) == 0;

                if ((old || new) && !same)
                        r = compare_cells(c, n, keyword, source, target, old, new);
        }
        return r;
}

static int compare_matrices(const struct comparison *c, const struct numbering *n, struct matrix *const *m,
                            const char *keyword)
{
        int r = 0;

        for (size_t source = 0; r >= 0 && source < n->n_types; source++) {
                matrix_row(m[0], source);
                matrix_row(m[1], source);
                r = compare_row(c, n, m, keyword, source);
        }
        return r;
}

static int compare_rules(const struct comparison *c, const struct numbering *n, enum selinux_rule_kind kind)
{
        struct matrix *m[2] = {};
        int r = 0;

        for (size_t i = 0; r >= 0 && i < 2; i++)
                r = kind == SELINUX_NEVERALLOW ? matrix_of_text(c->sides[i], n, kind, &m[i], c->e)
                                               : matrix_of_policy(c->sides[i], n, &m[i], c->e);
        if (r >= 0)
                r = compare_matrices(c, n, m, kind == SELINUX_NEVERALLOW ? "neverallow" : "allow");
        for (size_t i = 0; i < 2; i++)
                if (m[i])
                        matrix_free(m[i]);
        return r;
}

/* --- everything else --- */

/* Whether a line of the compiled policy, written as CIL, is compared as it stands. Rules and memberships are
 * compared without attributes; orders have no meaning of their own; the names of some attributes are made up.
 */
static bool is_fact(const char *line)
{
        static const char *const others[] = {"(allow ",         "(typeattribute ",    "(typeattributeset ",
                                             "(classorder ",    "(sidorder ",         "(categoryorder ",
                                             "(roleattribute ", "(roletype object_r "};

        for (size_t i = 0; i < ELEMENTSOF(others); i++)
                if (strncmp(line, others[i], strlen(others[i])) == 0)
                        return false;
        return line[0] != '\0';
}

static int add_lines(struct names *facts, char *text)
{
        char *save = NULL;
        int r = 0;

        for (char *line = strtok_r(text, "\n", &save); r >= 0 && line; line = strtok_r(NULL, "\n", &save))
                r = names_add(facts, line);
        return r;
}

/* Where the statement at p ends; its line breaks and indentation become single spaces. */
static char *join_statement(char *p)
{
        char *const begin = p, *out = p;
        size_t depth = 0;

        for (; *p && !(*p == '\n' && depth == 0); p++) {
                bool space = *p == '\n' || *p == '\t' || *p == ' ';

                depth += *p == '(';
                depth -= *p == ')' && depth > 0;
                if (!space || (out > begin && out[-1] != ' '))
                        *out++ = space ? ' ' : *p;
        }
        p += *p == '\n';
        *out = '\0';
        return p;
}

static int add_facts(struct names *facts, char *text)
{
        int r = 0;

        while (r >= 0 && *text) {
                char *statement = text;

                text = join_statement(statement);
                if (is_fact(statement))
                        r = names_add(facts, statement);
        }
        return r;
}

static int add_statements(struct names *facts, const struct selinux_policy *p, struct error *e)
{
        char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);
        int r = 0;

        if (!f)
                return error_errno(e, -ENOMEM, "facts");
        if (sepol_kernel_policydb_to_cil(f, &p->db->p) != 0)
                r = error_set(e, -EINVAL, "policy: it cannot be written as CIL");
        if (fclose(f) != 0 && r >= 0)
                r = error_errno(e, -ENOMEM, "facts");
        if (r >= 0)
                r = add_facts(facts, text);
        free(text);
        return r;
}

static bool is_made_up(const char *attribute)
{
        return strncmp(attribute, "base_typeattr_", 14) == 0;
}

static int add_memberships(struct names *facts, const struct selinux_policy *p)
{
        const policydb_t *db = &p->db->p;
        int r = 0;

        for (unsigned i = 0; i < db->p_types.nprim; i++) {
                ebitmap_node_t *node;
                unsigned bit;

                if (!db->type_val_to_struct[i] || db->type_val_to_struct[i]->flavor != TYPE_ATTRIB ||
                    is_made_up(db->p_type_val_to_name[i]))
                        continue;
                ebitmap_for_each_positive_bit(&db->attr_type_map[i], node, bit)
                {
                        _cleanup_free_ char *text = NULL;

                        if (r >= 0 && asprintf(&text, "(typeattributeset %s (%s))", db->p_type_val_to_name[i],
                                               db->p_type_val_to_name[bit]) < 0)
                                r = -ENOMEM;
                        if (r >= 0)
                                r = names_add(facts, text);
                }
        }
        return r;
}

static int find_facts(const struct selinux_policy *p, bool labels, char ***ret, struct error *e)
{
        _cleanup_free_ char *copy = labels ? strdup(p->labels) : NULL;
        struct names facts = {};
        int r;

        if (labels && !copy)
                return error_errno(e, -ENOMEM, "labels");
        r = add_statements(&facts, p, e);
        if (r >= 0)
                r = add_memberships(&facts, p);
        if (r >= 0 && labels)
                r = add_lines(&facts, copy);
        if (r >= 0)
                r = names_finish(&facts, ret);
        if (r < 0)
                selinux_names_free(facts.items);
        return r;
}

/* Two sorted lists side by side. */
static int compare_facts(const struct comparison *c, char **old, char **new)
{
        int r = 0;

        while (r >= 0 && (*old || *new)) {
                int order = !*old ? 1 : !*new ? -1 : strcmp(*old, *new);

                if (order < 0)
                        r = report(c, SELINUX_REMOVED, *old);
                else if (order > 0)
                        r = report(c, SELINUX_ADDED, *new);
                old += order <= 0;
                new += order >= 0;
        }
        return r;
}

int selinux_policy_diff(const struct selinux_policy *old, const struct selinux_policy *new,
                        selinux_change_t change, void *userdata, struct error *e)
{
        const struct comparison c = {{old, new}, change, userdata, e};
        bool text = old->labels && new->labels;
        char **facts[2] = {};
        struct numbering n;
        int r;

        r = numbering_make(&n, c.sides, 2, e);
        if (r < 0)
                return r;
        for (size_t i = 0; r >= 0 && i < 2; i++)
                r = find_facts(c.sides[i], text, &facts[i], e);
        if (r >= 0)
                r = compare_facts(&c, facts[0], facts[1]);
        if (r >= 0)
                r = compare_rules(&c, &n, SELINUX_ALLOW);
        if (r >= 0 && text)
                r = compare_rules(&c, &n, SELINUX_NEVERALLOW);
        for (size_t i = 0; i < 2; i++)
                selinux_names_free(facts[i]);
        numbering_done(&n);
        return r;
}
