/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "findings.h"

#define SARIF_SCHEMA "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"

static int finding_to_json(const struct kept_finding *f, sd_json_variant **ret)
{
        return sd_json_buildo(
                ret, SD_JSON_BUILD_PAIR_STRING("code", f->rule->code),
                SD_JSON_BUILD_PAIR_STRING("severity", ipe_severity_to_string(f->rule->severity)),
                SD_JSON_BUILD_PAIR_STRING("file", f->file),
                SD_JSON_BUILD_PAIR_UNSIGNED("line", f->place.line),
                SD_JSON_BUILD_PAIR_UNSIGNED("column", f->place.column),
                SD_JSON_BUILD_PAIR_STRING("message", f->message),
                SD_JSON_BUILD_PAIR_CONDITION(f->fix != NULL, "fix", SD_JSON_BUILD_STRING(f->fix)),
                SD_JSON_BUILD_PAIR_CONDITION(f->replacement != NULL, "replacement",
                                             SD_JSON_BUILD_STRING(f->replacement)));
}

/* An array of what `one` makes of each finding. */
static int each(const struct findings *f, int (*one)(const struct kept_finding *, sd_json_variant **),
                sd_json_variant **ret)
{
        int r = sd_json_variant_new_array(ret, NULL, 0);

        for (size_t i = 0; i < f->n && r >= 0; i++) {
                _cleanup_json_ sd_json_variant *v = NULL;

                r = one(&f->items[i], &v);
                if (r >= 0)
                        r = sd_json_variant_append_array(ret, v);
        }
        return r;
}

int findings_to_json(const struct findings *f, sd_json_variant **ret)
{
        return each(f, finding_to_json, ret);
}

/* {"text": TEXT} */
static int sarif_text(const char *text, sd_json_variant **ret)
{
        return sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("text", text));
}

/* Columns here count bytes; they differ from code points in comments and odd names alone. */
static int sarif_region(const struct ipe_place *p, sd_json_variant **ret)
{
        return sd_json_buildo(ret, SD_JSON_BUILD_PAIR_UNSIGNED("startLine", p->line),
                              SD_JSON_BUILD_PAIR_UNSIGNED("startColumn", p->column),
                              SD_JSON_BUILD_PAIR_UNSIGNED("endColumn", p->column + p->length));
}

/* A path as the URI reference that SARIF wants (RFC 3986): file: if it is absolute, and what has a meaning in
 * a URI encoded. */
static char *path_to_uri(const char *path)
{
        static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
        const char *scheme = path[0] == '/' ? "file://" : "";
        char *uri = malloc(strlen(scheme) + 3 * strlen(path) + 1), *p;

        if (!uri)
                return NULL;
        p = stpcpy(uri, scheme);
        for (; *path; path++)
                if (strchr(plain, *path))
                        *p++ = *path;
                else
                        p += snprintf(p, sizeof("%XX"), "%%%02X", (unsigned char)*path);
        *p = '\0';
        return uri;
}

/* {"uri": the finding's file} */
static int sarif_artifact(const struct kept_finding *f, sd_json_variant **ret)
{
        _cleanup_free_ char *uri = path_to_uri(f->file);

        return uri ? sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("uri", uri)) : -ENOMEM;
}

static int sarif_location(const struct kept_finding *f, sd_json_variant **ret)
{
        _cleanup_json_ sd_json_variant *artifact = NULL, *region = NULL;
        int r;

        if ((r = sarif_artifact(f, &artifact)) < 0 || (r = sarif_region(&f->place, &region)) < 0)
                return r;
        return sd_json_buildo(ret, SD_JSON_BUILD_PAIR_VARIANT("artifactLocation", artifact),
                              SD_JSON_BUILD_PAIR_VARIANT("region", region));
}

static int sarif_fix(const struct kept_finding *f, sd_json_variant **ret)
{
        _cleanup_json_ sd_json_variant *artifact = NULL, *region = NULL, *description = NULL, *content = NULL;
        int r;

        if ((r = sarif_artifact(f, &artifact)) < 0 || (r = sarif_region(&f->place, &region)) < 0 ||
            (r = sarif_text(f->fix, &description)) < 0 || (r = sarif_text(f->replacement, &content)) < 0)
                return r;
        return sd_json_buildo(
                ret, SD_JSON_BUILD_PAIR_VARIANT("description", description),
                SD_JSON_BUILD_PAIR(
                        "artifactChanges",
                        SD_JSON_BUILD_ARRAY(SD_JSON_BUILD_OBJECT(
                                SD_JSON_BUILD_PAIR_VARIANT("artifactLocation", artifact),
                                SD_JSON_BUILD_PAIR(
                                        "replacements",
                                        SD_JSON_BUILD_ARRAY(SD_JSON_BUILD_OBJECT(
                                                SD_JSON_BUILD_PAIR_VARIANT("deletedRegion", region),
                                                SD_JSON_BUILD_PAIR_VARIANT("insertedContent", content))))))));
}

static const char *sarif_level(enum ipe_severity severity)
{
        return severity == IPE_INFO ? "note" : ipe_severity_to_string(severity);
}

static int sarif_result(const struct kept_finding *f, sd_json_variant **ret)
{
        _cleanup_json_ sd_json_variant *message = NULL, *location = NULL, *fix = NULL;
        int r;

        if ((r = sarif_text(f->message, &message)) < 0 || (r = sarif_location(f, &location)) < 0 ||
            (f->replacement && (r = sarif_fix(f, &fix)) < 0))
                return r;
        return sd_json_buildo(
                ret, SD_JSON_BUILD_PAIR_STRING("ruleId", f->rule->code),
                SD_JSON_BUILD_PAIR_STRING("level", sarif_level(f->rule->severity)),
                SD_JSON_BUILD_PAIR_VARIANT("message", message),
                SD_JSON_BUILD_PAIR("locations",
                                   SD_JSON_BUILD_ARRAY(SD_JSON_BUILD_OBJECT(
                                           SD_JSON_BUILD_PAIR_VARIANT("physicalLocation", location)))),
                SD_JSON_BUILD_PAIR_CONDITION(fix != NULL, "fixes",
                                             SD_JSON_BUILD_ARRAY(SD_JSON_BUILD_VARIANT(fix))));
}

static int sarif_rules(sd_json_variant **ret)
{
        int r = 0;

        for (size_t i = 0; i < ipe_n_lint_rules && r >= 0; i++) {
                const struct ipe_lint_rule *rule = &ipe_lint_rules[i];
                _cleanup_json_ sd_json_variant *text = NULL;

                r = sarif_text(rule->summary, &text);
                if (r >= 0)
                        r = sd_json_variant_append_arraybo(
                                ret, SD_JSON_BUILD_PAIR_STRING("id", rule->code),
                                SD_JSON_BUILD_PAIR_VARIANT("shortDescription", text),
                                SD_JSON_BUILD_PAIR("defaultConfiguration",
                                                   SD_JSON_BUILD_OBJECT(SD_JSON_BUILD_PAIR_STRING(
                                                           "level", sarif_level(rule->severity)))));
        }
        return r;
}

int findings_to_sarif(const struct findings *f, sd_json_variant **ret)
{
        _cleanup_json_ sd_json_variant *results = NULL, *rules = NULL, *driver = NULL;
        int r;

        if ((r = each(f, sarif_result, &results)) < 0 || (r = sarif_rules(&rules)) < 0)
                return r;
        r = sd_json_buildo(&driver, SD_JSON_BUILD_PAIR_STRING("name", "ipe-policy"),
                           SD_JSON_BUILD_PAIR_STRING("version", HOLDFAST_VERSION),
                           SD_JSON_BUILD_PAIR_VARIANT("rules", rules));
        if (r < 0)
                return r;
        return sd_json_buildo(
                ret, SD_JSON_BUILD_PAIR_STRING("$schema", SARIF_SCHEMA),
                SD_JSON_BUILD_PAIR_STRING("version", "2.1.0"),
                SD_JSON_BUILD_PAIR(
                        "runs",
                        SD_JSON_BUILD_ARRAY(SD_JSON_BUILD_OBJECT(
                                SD_JSON_BUILD_PAIR("tool", SD_JSON_BUILD_OBJECT(SD_JSON_BUILD_PAIR_VARIANT(
                                                                   "driver", driver))),
                                SD_JSON_BUILD_PAIR_STRING("columnKind", "unicodeCodePoints"),
                                SD_JSON_BUILD_PAIR_VARIANT("results", results)))));
}
