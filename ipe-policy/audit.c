/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records of type 1420 (security/ipe/audit.c), in the kernel's log, the journal, or auditd's file. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "ipe-policy/author.h"
#include "ipe-policy/internal.h"

#define FIELD_MAX 4096
#define DISTINCT_MAX 16384u

struct record {
        char operation[32], path[FIELD_MAX], device[64], rule[FIELD_MAX];
};

struct work {
        const struct ipe_audit_options *o;
        const struct ipe_policy *base;
        struct ipe_audit_result *result;
        FILE *rules;
        char **seen; /* what was decided already: the same file runs many times */
        size_t n_seen;
};

/* The value of " KEY=" in the line: a word, what stands between quotes, or the kernel's hex for odd bytes. */
static void field(const char *line, const char *key, char *ret, size_t size)
{
        const char *p = line;
        size_t n;

        *ret = '\0';
        while ((p = strstr(p, key)) && p > line && p[-1] != ' ')
                p++;
        if (!p)
                return;
        p += strlen(key);
        n = *p == '"' ? strcspn(p + 1, "\"") : strcspn(p, " \n");
        if (n >= size)
                n = size - 1;
        memcpy(ret, *p == '"' ? p + 1 : p, n);
        ret[n] = '\0';
        if (*p != '"' && n % 2 == 0 && n > 0 && strspn(ret, "0123456789ABCDEF") == n) {
                char hex[FIELD_MAX];

                memcpy(hex, ret, n + 1);
                if (hex_decode(hex, ret, n / 2) >= 0)
                        ret[n / 2] = '\0';
        }
}

static void parse_record(const char *line, struct record *ret)
{
        const char *rule = strstr(line, " rule=\"");

        *ret = (struct record){};
        field(line, "ipe_op=", ret->operation, sizeof(ret->operation));
        field(line, "path=", ret->path, sizeof(ret->path));
        field(line, "dev=", ret->device, sizeof(ret->device));
        if (rule)
                (void)snprintf(ret->rule, sizeof(ret->rule), "%.*s", (int)strcspn(rule + 7, "\n"), rule + 7);
}

static void refuse(struct work *w, const struct record *r, const char *reason)
{
        char path[512];

        ipe_printable(r->path, strlen(r->path), path, sizeof(path));
        w->result->n_refused++;
        w->o->refused(w->o->userdata, r->operation, path, reason);
}

static const struct ipe_device *find_device(const struct work *w, const char *name)
{
        for (size_t i = 0; i < w->o->n_devices; i++)
                if (strcmp(w->o->devices[i].name, name) == 0)
                        return &w->o->devices[i];
        return NULL;
}

static const struct ipe_layer *find_signed(const struct work *w, const struct ipe_digest *root_hash)
{
        for (size_t i = 0; i < w->o->layers->n; i++) {
                const struct ipe_layer *l = &w->o->layers->items[i];

                if (l->is_signed && strcmp(l->algorithm, root_hash->algorithm) == 0 &&
                    strcmp(l->root_hash, root_hash->hex) == 0)
                        return l;
        }
        return NULL;
}

/* The subject that a rule may be written for; NULL and a reason otherwise. */
static const char *judge(const struct work *w, const struct record *r, struct ipe_subject *ret)
{
        const struct ipe_device *device;
        const struct ipe_layer *layer;

        if (ipe_operation_from_string(r->operation) == IPE_OPERATIONS)
                return "an operation that rules cannot name";
        if (strcmp(r->path, "?") == 0 && strcmp(r->operation, "EXECUTE") == 0)
                return "anonymous executable memory (a JIT compiler): no property allows it alone";
        if (strcmp(r->path, "?") == 0)
                return "data without a file: no property can hold";
        if (strncmp(r->rule, "op=", 3) == 0)
                return "an explicit rule denies it";
        device = find_device(w, r->device);
        if (!device)
                return "on a device that --map does not name: records carry no root hash";
        layer = find_signed(w, &device->root_hash);
        if (!layer)
                return "unsigned: no image has a signature over the device's root hash";
        *ret = ipe_layer_subject(layer);
        return NULL;
}

static void take_record(struct work *w, const struct record *r)
{
        enum ipe_operation operation = ipe_operation_from_string(r->operation);
        struct ipe_subject subject = {};
        struct ipe_decision d;
        const char *reason = judge(w, r, &subject);
        char path[512];

        if (reason) {
                refuse(w, r, reason);
                return;
        }
        ipe_policy_evaluate(w->base, operation, &subject, &d);
        if (!d.allow && d.rule) {
                refuse(w, r, "an explicit rule denies it");
                return;
        }
        if (d.allow)
                return;
        ipe_printable(r->path, strlen(r->path), path, sizeof(path));
        fprintf(w->rules, "# %s\nop=%s dmverity_signature=TRUE dmverity_roothash=%s:%s action=ALLOW\n", path,
                r->operation, subject.dmverity_roothash.algorithm, subject.dmverity_roothash.hex);
        w->result->n_rules++;
}

/* Remembers the record. 1 if one like it was seen: a rule covers a device, so only what has none is told file
 * by file. -E2BIG above DISTINCT_MAX. */
static int was_seen(struct work *w, const struct record *r)
{
        const char *path = find_device(w, r->device) ? "" : r->path;
        char *key = NULL, **bigger;

        if (asprintf(&key, "%s %s %s %s", r->operation, r->device, r->rule, path) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < w->n_seen; i++)
                if (strcmp(w->seen[i], key) == 0) {
                        free(key);
                        return 1;
                }
        bigger = w->n_seen < DISTINCT_MAX ? reallocarray(w->seen, w->n_seen + 1, sizeof(char *)) : NULL;
        if (!bigger) {
                free(key);
                return w->n_seen < DISTINCT_MAX ? -ENOMEM : -E2BIG;
        }
        w->seen = bigger;
        w->seen[w->n_seen++] = key;
        return 0;
}

static int take_line(struct work *w, const char *line)
{
        const char *begin = strstr(line, "ipe_op=");
        struct record record;
        int r;

        if (!begin)
                return 0;
        parse_record(begin, &record);
        /* With ipe.success_audit=1 the kernel writes of what it allows too. */
        if (strstr(record.rule, "action=ALLOW\""))
                return 0;
        w->result->n_records++;
        r = was_seen(w, &record);
        if (r == 0)
                take_record(w, &record);
        return r < 0 ? r : 0;
}

static int take_lines(struct work *w, const char *records)
{
        int r = 0;

        for (const char *line = records; *line && r >= 0;) {
                size_t n = strcspn(line, "\n");
                _cleanup_free_ char *copy = strndup(line, n);

                r = copy ? take_line(w, copy) : -ENOMEM;
                line += n + (line[n] == '\n');
        }
        return r;
}

/* The policy in canonical form, its version raised, with the rules behind it. */
static int append(const char *text, size_t size, const char *rules, char **ret, struct error *e)
{
        _cleanup_free_ char *formatted = NULL, *bumped = NULL;
        int r;

        r = ipe_policy_format(text, size, &formatted, e);
        if (r >= 0)
                r = ipe_policy_bump(formatted, strlen(formatted), IPE_REVISION, &bumped, e);
        if (r < 0)
                return r;
        if (asprintf(ret, "%s%s", bumped, rules) < 0) {
                *ret = NULL;
                return error_errno(e, -ENOMEM, "policy");
        }
        return 0;
}

int ipe_policy_from_audit(const char *text, size_t size, const char *records,
                          const struct ipe_audit_options *o, struct ipe_audit_result *ret_result, char **ret,
                          struct error *e)
{
        _cleanup_policy_ struct ipe_policy *base = NULL;
        _cleanup_free_ char *rules = NULL;
        struct work w = {.o = o, .result = ret_result};
        size_t n_rules;
        int r;

        *ret_result = (struct ipe_audit_result){};
        r = ipe_policy_parse(text, size, &base, e);
        if (r < 0)
                return r;
        w.base = base;
        w.rules = open_memstream(&rules, &n_rules);
        if (!w.rules)
                return error_errno(e, -ENOMEM, "policy");
        r = take_lines(&w, records);
        for (size_t i = 0; i < w.n_seen; i++)
                free(w.seen[i]);
        free(w.seen);
        if (fclose(w.rules) != 0)
                r = -ENOMEM;
        return r < 0 ? error_errno(e, r, "records") : append(text, size, rules, ret, e);
}
