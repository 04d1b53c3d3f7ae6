/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ipe-policy lint */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "findings.h"
#include "program.h"

enum format { TEXT, JSON, SARIF };

struct collection {
        struct findings findings;
        const char *file;
        bool failed; /* memory ended */
};

static void keep(void *userdata, const struct ipe_finding *f)
{
        struct collection *c = userdata;
        struct kept_finding *bigger = reallocarray(c->findings.items, c->findings.n + 1, sizeof(*bigger)), *k;

        if (!bigger) {
                c->failed = true;
                return;
        }
        c->findings.items = bigger;
        k = &c->findings.items[c->findings.n++];
        *k = (struct kept_finding){
                .rule = f->rule,
                .file = c->file,
                .place = f->place,
                .message = strdup(f->message),
                .replacement = f->replacement ? strdup(f->replacement) : NULL,
                .fix = f->fix,
        };
        c->failed = c->failed || !k->message || (f->replacement && !k->replacement);
}

static void collection_done(struct collection *c)
{
        for (size_t i = 0; i < c->findings.n; i++) {
                free(c->findings.items[i].message);
                free(c->findings.items[i].replacement);
        }
        free(c->findings.items);
}

/* By place within a file. */
static int compare(const void *a, const void *b)
{
        const struct kept_finding *p = a, *q = b;

        if (p->place.offset != q->place.offset)
                return p->place.offset < q->place.offset ? -1 : 1;
        return strcmp(p->rule->code, q->rule->code);
}

static int lint_file(const char *path, const struct ipe_lint_options *o, struct collection *c,
                     struct error *e)
{
        _cleanup_file_ struct policy_file f = {};
        size_t before = c->findings.n;
        int r;

        r = policy_file_read(path, &f, e);
        if (r < 0)
                return r;
        c->file = path;
        r = ipe_policy_lint(f.text, f.size, o, e);
        if (r < 0 || c->failed)
                return r < 0 ? r : error_errno(e, -ENOMEM, "%s", path);
        if (c->findings.n > before)
                qsort(c->findings.items + before, c->findings.n - before, sizeof(*c->findings.items),
                      compare);
        return 0;
}

static void print_text(const struct findings *f)
{
        for (size_t i = 0; i < f->n; i++) {
                const struct kept_finding *k = &f->items[i];

                printf("%s:%u:%u: %s: %s [%s]\n", k->file, k->place.line, k->place.column,
                       ipe_severity_to_string(k->rule->severity), k->message, k->rule->code);
                if (k->fix)
                        printf("    fix: %s\n", k->fix);
                if (k->replacement && *k->replacement)
                        printf("    as:  %s\n", k->replacement);
        }
}

static int print_findings(const struct findings *f, unsigned format)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        int r;

        if (format == TEXT) {
                print_text(f);
                return 0;
        }
        r = format == SARIF ? findings_to_sarif(f, &v) : findings_to_json(f, &v);
        return r < 0 ? r : json_print(v, JSON_PRETTY);
}

static bool reaches(const struct findings *f, unsigned severity)
{
        for (size_t i = 0; i < f->n; i++)
                if (f->items[i].rule->severity >= severity)
                        return true;
        return false;
}

static int lint(int argc, char **argv, struct collection *c, unsigned *ret_severity, struct error *e)
{
        static const char *const formats[] = {[TEXT] = "text", [JSON] = "json", [SARIF] = "sarif"};
        static const char *const severities[] = {
                [IPE_INFO] = "info", [IPE_WARNING] = "warning", [IPE_ERROR] = "error"};
        struct ipe_lint_options o = {
                .boot = options.boot, .allow_list = options.allow_list, .finding = keep, .userdata = c};
        _cleanup_file_ struct policy_file previous = {};
        unsigned format = TEXT;
        int r;

        if ((r = choose("format", options.format, formats, ELEMENTSOF(formats), &format, e)) < 0 ||
            (r = choose("severity", options.severity, severities, ELEMENTSOF(severities), ret_severity, e)) <
                    0 ||
            (options.previous && (r = policy_file_open(options.previous, &previous, e)) < 0))
                return r;
        o.previous = previous.policy;
        for (int i = 0; i < argc && r >= 0; i++)
                r = lint_file(argv[i], &o, c, e);
        if (r < 0)
                return r;
        r = print_findings(&c->findings, format);
        return r < 0 ? error_errno(e, r == -EINVAL ? -EIO : r, "printing the findings") : 0;
}

int verb_lint(int argc, char **argv)
{
        _cleanup_(collection_done) struct collection c = {};
        unsigned severity = IPE_ERROR;
        struct error e = {};
        int r = lint(argc, argv, &c, &severity, &e);

        if (r < 0)
                return fail(r, &e);
        return reaches(&c.findings, severity) ? EXIT_ANSWER_IS_NO : EXIT_SUCCESS;
}
