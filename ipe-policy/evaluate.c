/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipe-policy/internal.h"

static bool same_digest(const struct ipe_digest *a, const struct ipe_digest *b)
{
        return b->algorithm && strcmp(a->algorithm, b->algorithm) == 0 && strcmp(a->hex, b->hex) == 0;
}

bool ipe_property_holds(const struct ipe_property *property, const struct ipe_subject *subject)
{
        switch (property->type) {
        case IPE_BOOT_VERIFIED:
                return property->value == subject->boot_verified;
        case IPE_DMVERITY_SIGNATURE:
                return property->value == subject->dmverity_signature;
        case IPE_FSVERITY_SIGNATURE:
                return property->value == subject->fsverity_signature;
        case IPE_DMVERITY_ROOTHASH:
                return same_digest(&property->digest, &subject->dmverity_roothash);
        case IPE_FSVERITY_DIGEST:
                return same_digest(&property->digest, &subject->fsverity_digest);
        default:
                return false;
        }
}

static bool rule_matches(const struct ipe_rule *rule, const struct ipe_subject *subject)
{
        for (size_t i = 0; i < rule->n_properties; i++)
                if (!ipe_property_holds(&rule->properties[i], subject))
                        return false;
        return true;
}

void ipe_policy_evaluate(const struct ipe_policy *p, enum ipe_operation operation,
                         const struct ipe_subject *subject, struct ipe_decision *ret)
{
        const struct ipe_default *d = &p->defaults[operation];

        for (size_t i = 0; i < p->n_rules; i++) {
                const struct ipe_rule *rule = &p->rules[i];

                if (rule->operation == operation && rule_matches(rule, subject)) {
                        *ret = (struct ipe_decision){operation, rule->allow, rule, false, rule->place.line};
                        return;
                }
        }
        if (!d->given)
                d = &p->global;
        *ret = (struct ipe_decision){operation, d->allow, NULL, d == &p->global, d->place.line};
}

bool ipe_policy_allows_anything(const struct ipe_policy *p)
{
        static const struct ipe_subject nothing = {};
        struct ipe_decision d;

        ipe_policy_evaluate(p, IPE_EXECUTE, &nothing, &d);
        return d.allow;
}

bool ipe_policy_allows_boot_verified(const struct ipe_policy *p)
{
        for (size_t i = 0; i < p->n_rules; i++)
                for (size_t k = 0; p->rules[i].allow && k < p->rules[i].n_properties; k++)
                        if (p->rules[i].properties[k].type == IPE_BOOT_VERIFIED &&
                            p->rules[i].properties[k].value)
                                return true;
        return false;
}

/* The kernel writes an algorithm in quotes, or in hex where it has a quote, a blank or no printable ASCII;
 * and digests in upper case. */
static void print_digest(FILE *f, const struct ipe_digest *d)
{
        bool plain = true;

        for (const char *c = d->algorithm; *c; c++)
                plain = plain && *c != '"' && *c > ' ' && *c < 0x7f;
        if (plain)
                fprintf(f, "\"%s\":", d->algorithm);
        else {
                for (const char *c = d->algorithm; *c; c++)
                        fprintf(f, "%02X", (unsigned char)*c);
                fputc(':', f);
        }
        for (const char *c = d->hex; *c; c++)
                fputc(*c >= 'a' ? *c - 'a' + 'A' : *c, f);
}

static void print_rule(FILE *f, const struct ipe_rule *rule)
{
        fprintf(f, "\"op=%s ", ipe_operation_to_string(rule->operation));
        for (size_t i = 0; i < rule->n_properties; i++) {
                const struct ipe_property *p = &rule->properties[i];

                fprintf(f, "%s=", ipe_property_to_string(p->type));
                if (p->digest.algorithm)
                        print_digest(f, &p->digest);
                else
                        fputs(p->value ? "TRUE" : "FALSE", f);
                fputc(' ', f);
        }
        fprintf(f, "action=%s\"", rule->allow ? "ALLOW" : "DENY");
}

/* Closes f; what it wrote, or NULL if memory ended on the way. */
static char *finish(FILE *f, char **text)
{
        bool failed = ferror(f) != 0;

        if (fclose(f) == 0 && !failed)
                return *text;
        free(*text);
        return NULL;
}

char *ipe_decision_to_string(const struct ipe_decision *d)
{
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return NULL;
        if (d->rule)
                print_rule(f, d->rule);
        else {
                fputs("\"DEFAULT ", f);
                if (!d->global)
                        fprintf(f, "op=%s ", ipe_operation_to_string(d->operation));
                fprintf(f, "action=%s\"", d->allow ? "ALLOW" : "DENY");
        }
        return finish(f, &text);
}

static void print_plain(FILE *f, const char *key, const struct ipe_digest *d)
{
        char algorithm[128];

        ipe_printable(d->algorithm, strlen(d->algorithm), algorithm, sizeof(algorithm));
        fprintf(f, "%s=%s:%s ", key, algorithm, d->hex);
}

char *ipe_subject_to_string(const struct ipe_subject *s)
{
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return NULL;
        if (s->boot_verified)
                fputs("boot_verified=TRUE ", f);
        if (s->dmverity_signature)
                fputs("dmverity_signature=TRUE ", f);
        if (s->dmverity_roothash.algorithm)
                print_plain(f, "dmverity_roothash", &s->dmverity_roothash);
        if (s->fsverity_signature)
                fputs("fsverity_signature=TRUE ", f);
        if (s->fsverity_digest.algorithm)
                print_plain(f, "fsverity_digest", &s->fsverity_digest);
        if (!finish(f, &text))
                return NULL;
        if (size == 0) {
                free(text);
                return strdup("no property");
        }
        text[size - 1] = '\0';
        return text;
}
