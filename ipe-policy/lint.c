/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipe-policy/internal.h"

enum code {
        SYNTAX,
        NO_GLOBAL_DEFAULT,
        EXECUTES_ANYTHING,
        OPERATION_OPEN,
        BOOT_VERIFIED,
        NEVER_MATCHES,
        SHADOWED,
        WITHOUT_EFFECT,
        UNKNOWN_ALGORITHM,
        DIGEST_LENGTH,
        WEAK_ALGORITHM,
        PROPERTY_TWICE,
        UNSIGNED_ROOT_HASH,
        NO_ALLOW_LIST,
        VERSION_NOT_RAISED,
        VERSION_SPELLING,
        NAME,
        TEXT_AFTER_NUL,
        ANONYMOUS_DENIED,
        ANONYMOUS_ALLOWED,
};

const struct ipe_lint_rule ipe_lint_rules[] = {
        [SYNTAX] = {"IPE001", IPE_ERROR, "The kernel refuses the policy"},
        [NO_GLOBAL_DEFAULT] = {"IPE002", IPE_WARNING, "No DEFAULT for all operations"},
        [EXECUTES_ANYTHING] = {"IPE003", IPE_ERROR, "Files that nothing vouches for may execute"},
        [OPERATION_OPEN] = {"IPE004", IPE_WARNING, "An operation of the kernel is open for any file"},
        [BOOT_VERIFIED] = {"IPE005", IPE_ERROR, "boot_verified is allowed in a host policy"},
        [NEVER_MATCHES] = {"IPE006", IPE_ERROR, "No file can match the rule"},
        [SHADOWED] = {"IPE007", IPE_WARNING, "Earlier rules match whatever the rule does"},
        [WITHOUT_EFFECT] = {"IPE008", IPE_INFO, "The policy decides the same without the rule"},
        [UNKNOWN_ALGORITHM] = {"IPE009", IPE_ERROR, "The kernel knows no digest algorithm of that name"},
        [DIGEST_LENGTH] = {"IPE010", IPE_ERROR, "The digest is not as long as its algorithm makes it"},
        [WEAK_ALGORITHM] = {"IPE011", IPE_WARNING, "The digest algorithm is broken"},
        [PROPERTY_TWICE] = {"IPE012", IPE_INFO, "A property stands twice in a rule"},
        [UNSIGNED_ROOT_HASH] = {"IPE013", IPE_INFO, "A root hash is allowed without a signature"},
        [NO_ALLOW_LIST] = {"IPE014", IPE_WARNING,
                           "Signed devices are allowed without naming their root hashes"},
        [VERSION_NOT_RAISED] = {"IPE015", IPE_ERROR, "The version is not above the previous one"},
        [VERSION_SPELLING] = {"IPE016", IPE_INFO, "The version is spelled in an unusual way"},
        [NAME] = {"IPE017", IPE_WARNING, "The name is hard to handle"},
        [TEXT_AFTER_NUL] = {"IPE018", IPE_WARNING, "The kernel ignores what follows a NUL byte"},
        [ANONYMOUS_DENIED] = {"IPE019", IPE_INFO, "Anonymous executable memory is denied"},
        [ANONYMOUS_ALLOWED] = {"IPE020", IPE_WARNING, "Anonymous executable memory is allowed"},
};
const size_t ipe_n_lint_rules = ELEMENTSOF(ipe_lint_rules);

struct lint {
        const struct ipe_lint_options *o;
        const struct ipe_policy *policy;
        const char *text;
        size_t size;
};

const char *ipe_severity_to_string(enum ipe_severity severity)
{
        static const char *const names[] = {
                [IPE_INFO] = "info", [IPE_WARNING] = "warning", [IPE_ERROR] = "error"};

        return names[severity];
}

static void find(const struct lint *l, enum code code, struct ipe_place place, const char *fix,
                 const char *replacement, const char *format, ...) __attribute__((format(printf, 6, 7)));

static void find(const struct lint *l, enum code code, struct ipe_place place, const char *fix,
                 const char *replacement, const char *format, ...)
{
        struct ipe_finding f = {&ipe_lint_rules[code], place, NULL, fix, replacement};
        char message[768];
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(message, sizeof(message), format, ap);
        va_end(ap);
        f.message = message;
        l->o->finding(l->o->userdata, &f);
}

/* --- digests --- */

/* Algorithms by the names of the kernel's crypto API. */
static const struct algorithm {
        const char *name;
        size_t size; /* in bytes */
        bool weak;
} algorithms[] = {
        {"md5", 16, true},          {"sha1", 20, true},         {"rmd160", 20, true},
        {"sha224", 28, false},      {"sha256", 32, false},      {"sha384", 48, false},
        {"sha512", 64, false},      {"sha3-224", 28, false},    {"sha3-256", 32, false},
        {"sha3-384", 48, false},    {"sha3-512", 64, false},    {"sm3", 32, false},
        {"streebog256", 32, false}, {"streebog512", 64, false}, {"blake2b-160", 20, false},
        {"blake2b-256", 32, false}, {"blake2b-384", 48, false}, {"blake2b-512", 64, false},
        {"wp512", 64, false},
};

static const struct algorithm *find_algorithm(const char *name)
{
        for (size_t i = 0; i < ELEMENTSOF(algorithms); i++)
                if (strcasecmp(algorithms[i].name, name) == 0)
                        return &algorithms[i];
        return NULL;
}

/* Of these, fs-verity has two. */
static bool is_known(const struct ipe_property *p, const struct algorithm *a)
{
        return a && (p->type == IPE_DMVERITY_ROOTHASH || strcmp(a->name, "sha256") == 0 ||
                     strcmp(a->name, "sha512") == 0);
}

static void spelled_otherwise(const struct lint *l, const struct ipe_property *p, const struct algorithm *a)
{
        char replacement[sizeof("dmverity_roothash=streebog512:") + 2 * 64] = "";
        bool whole = strlen(p->digest.hex) == 2 * a->size;

        if (whole)
                (void)snprintf(replacement, sizeof(replacement), "%s=%s:%s", ipe_property_to_string(p->type),
                               a->name, p->digest.hex);
        find(l, UNKNOWN_ALGORITHM, p->place, "Write the algorithm in lower case.", whole ? replacement : NULL,
             "algorithm %s expected, found \"%s\": the rule never matches", a->name, p->digest.algorithm);
}

static void lint_digest(const struct lint *l, const struct ipe_property *p)
{
        const struct algorithm *a = find_algorithm(p->digest.algorithm);
        char name[64];

        ipe_printable(p->digest.algorithm, strlen(p->digest.algorithm), name, sizeof(name));
        if (!is_known(p, a))
                find(l, UNKNOWN_ALGORITHM, p->place, NULL, NULL,
                     "an algorithm that %s can have expected, found \"%s\": the rule never matches",
                     p->type == IPE_FSVERITY_DIGEST ? "fs-verity" : "dm-verity", name);
        else if (strcmp(a->name, p->digest.algorithm) != 0)
                spelled_otherwise(l, p, a);
        if (!a)
                return;
        if (strlen(p->digest.hex) != 2 * a->size)
                find(l, DIGEST_LENGTH, p->place, NULL, NULL,
                     "%zu hexadecimal digits expected for %s, found %zu: the rule never matches", 2 * a->size,
                     a->name, strlen(p->digest.hex));
        if (a->weak)
                find(l, WEAK_ALGORITHM, p->place, "Hash the image with sha256.", NULL,
                     "%s: others can make files with the same digest", a->name);
}

/* --- rules --- */

static bool asks_for(const struct ipe_rule *rule, enum ipe_property_type type, bool value)
{
        for (size_t i = 0; i < rule->n_properties; i++)
                if (rule->properties[i].type == type && rule->properties[i].value == value)
                        return true;
        return false;
}

static bool same_property(const struct ipe_property *a, const struct ipe_property *b)
{
        if (a->type != b->type || a->value != b->value)
                return false;
        if (!a->digest.algorithm || !b->digest.algorithm)
                return true;
        return strcmp(a->digest.algorithm, b->digest.algorithm) == 0 &&
               strcmp(a->digest.hex, b->digest.hex) == 0;
}

static void lint_properties(const struct lint *l, const struct ipe_rule *rule)
{
        for (size_t i = 0; i < rule->n_properties; i++) {
                const struct ipe_property *p = &rule->properties[i];
                bool twice = false;

                if (p->digest.algorithm)
                        lint_digest(l, p);
                /* What is said more often than that is found in the first few. */
                for (size_t k = 0; k < i && k < 2 * IPE_PROPERTIES && !twice; k++)
                        twice = same_property(&rule->properties[k], p);
                if (twice)
                        find(l, PROPERTY_TWICE, p->place, "Remove it.", "", "%s stands here a second time",
                             ipe_property_to_string(p->type));
        }
}

static void lint_allowed(const struct lint *l, const struct ipe_rule *rule)
{
        bool named = asks_for(rule, IPE_DMVERITY_ROOTHASH, false);
        bool is_signed = asks_for(rule, IPE_DMVERITY_SIGNATURE, true);

        if (!l->o->boot && asks_for(rule, IPE_BOOT_VERIFIED, true))
                find(l, BOOT_VERIFIED, rule->place, "Allow dmverity_signature=TRUE in its place.", NULL,
                     "whatever is written to the initramfs' file system counts as verified, for ever; lint a "
                     "policy of the initramfs with --boot");
        if (named && !is_signed)
                find(l, UNSIGNED_ROOT_HASH, rule->place, "Add dmverity_signature=TRUE.", NULL,
                     "a root hash names content, it does not say that anybody signed it");
        if (l->o->allow_list && is_signed && !named)
                find(l, NO_ALLOW_LIST, rule->place, "Name the devices: dmverity_roothash=ALGORITHM:HEX.",
                     NULL,
                     "every device that any key of the kernel ever signed matches, also one withdrawn since");
}

/* Which rule an example reaches; the default is NULL. */
static const struct ipe_rule *reached(const struct lint *l, enum ipe_operation operation,
                                      const struct ipe_subject *s)
{
        struct ipe_decision d;

        ipe_policy_evaluate(l->policy, operation, s, &d);
        return d.rule;
}

/* The decision for s as if the policy began after the rule. */
static bool allowed_behind(const struct ipe_policy *p, const struct ipe_rule *rule,
                           const struct ipe_subject *s)
{
        struct ipe_policy rest = *p;
        struct ipe_decision d;

        rest.rules = p->rules + (rule - p->rules) + 1;
        rest.n_rules = p->n_rules - (size_t)(rule - p->rules) - 1;
        ipe_policy_evaluate(&rest, rule->operation, s, &d);
        return d.allow;
}

/* Whether the rule decides something otherwise than what follows it would: for files that it and `behind`
 * match, or any for NULL. */
static bool has_effect_against(const struct lint *l, const struct ipe_rule *rule,
                               const struct ipe_rule *behind)
{
        struct ipe_subject examples[IPE_EXAMPLES_MAX];
        size_t n = ipe_rule_examples(rule, behind, examples);

        for (size_t i = 0; i < n; i++)
                if (reached(l, rule->operation, &examples[i]) == rule &&
                    allowed_behind(l->policy, rule, &examples[i]) != rule->allow)
                        return true;
        return false;
}

static bool has_effect(const struct lint *l, const struct ipe_rule *rule)
{
        const struct ipe_rule *end = l->policy->rules + l->policy->n_rules;

        if (has_effect_against(l, rule, NULL))
                return true;
        for (const struct ipe_rule *b = rule + 1; b < end; b++)
                if (b->operation == rule->operation && b->allow != rule->allow &&
                    has_effect_against(l, rule, b))
                        return true;
        return false;
}

static void lint_reach(const struct lint *l, const struct ipe_rule *rule)
{
        struct ipe_subject examples[IPE_EXAMPLES_MAX];
        size_t n = ipe_rule_examples(rule, NULL, examples);
        const struct ipe_rule *earlier = NULL;
        bool is_reached = false;

        for (size_t i = 0; i < n; i++) {
                const struct ipe_rule *by = reached(l, rule->operation, &examples[i]);

                if (by != rule)
                        earlier = by;
                is_reached = is_reached || by == rule;
        }
        if (n == 0)
                find(l, NEVER_MATCHES, rule->place, "Remove one of the properties, or the rule.", NULL,
                     "its properties exclude each other");
        else if (earlier && !is_reached)
                find(l, SHADOWED, rule->place, "Remove it, or put it before the others.", NULL,
                     "line %u matches first%s", earlier->place.line,
                     earlier->allow == rule->allow ? "" : ", with the opposite action");
        else if (!has_effect(l, rule))
                find(l, WITHOUT_EFFECT, rule->place, "Remove it.", NULL,
                     "what follows it decides the same for all that it matches");
}

static void lint_rules(const struct lint *l)
{
        const struct ipe_policy *p = l->policy;

        for (size_t i = 0; i < p->n_rules; i++) {
                lint_properties(l, &p->rules[i]);
                if (p->rules[i].allow)
                        lint_allowed(l, &p->rules[i]);
                lint_reach(l, &p->rules[i]);
        }
}

/* --- the whole --- */

static void lint_operation(const struct lint *l, enum ipe_operation operation)
{
        static const struct ipe_subject nothing = {};
        const struct ipe_policy *p = l->policy;
        struct ipe_decision d;
        struct ipe_place place;

        ipe_policy_evaluate(p, operation, &nothing, &d);
        if (d.rule)
                place = d.rule->place;
        else
                place = d.global ? p->global.place : p->defaults[operation].place;
        if (operation != IPE_EXECUTE) {
                if (d.allow)
                        find(l, OPERATION_OPEN, place,
                             "Deny it by default; allow what is needed by a property.", NULL,
                             "%s: any file may be loaded", ipe_operation_to_string(operation));
                return;
        }
        if (d.allow) {
                find(l, EXECUTES_ANYTHING, place,
                     "Use \"DEFAULT action=DENY\", and rules with TRUE or a digest.", NULL,
                     "every file may execute, whoever wrote it");
                find(l, ANONYMOUS_ALLOWED, place, NULL, NULL,
                     "programs may write code into memory and run it: so do JIT compilers, and attackers");
        } else
                find(l, ANONYMOUS_DENIED, place, NULL, NULL,
                     "JIT compilers fail (Java, .NET, JavaScript, PCRE2's, older libffi): run such programs "
                     "without theirs; no property can allow that memory alone");
}

static void lint_header(const struct lint *l)
{
        const struct ipe_policy *p = l->policy;
        const uint16_t *v = p->version, *old = l->o->previous ? l->o->previous->version : NULL;
        char version[32], name[80];
        bool plain = true;

        (void)snprintf(version, sizeof(version), "%u.%u.%u", v[0], v[1], v[2]);
        if (strlen(version) != p->version_place.length)
                find(l, VERSION_SPELLING, p->version_place, "Write it without signs and leading zeros.",
                     version, "the kernel reads it as %s", version);
        if (old && ipe_policy_compare_versions(old, v) >= 0)
                find(l, VERSION_NOT_RAISED, p->version_place, "Raise it: ipe-policy bump.", NULL,
                     "above %u.%u.%u expected, found %s: the kernel refuses to update to it", old[0], old[1],
                     old[2], version);
        for (const char *c = p->name; *c; c++)
                plain = plain && (isalnum((unsigned char)*c) || strchr("_-.", *c));
        ipe_printable(p->name, strlen(p->name), name, sizeof(name));
        if (!plain || !isascii((unsigned char)*p->name))
                find(l, NAME, p->name_place, "Use letters, digits, \"_\", \"-\" and \".\".", NULL,
                     "\"%s\" is a directory in securityfs and stands unescaped in audit records", name);
        if (!p->global.given)
                find(l, NO_GLOBAL_DEFAULT, (struct ipe_place){.line = p->name_place.line, .column = 1},
                     "Add \"DEFAULT action=DENY\".", NULL,
                     "operations that a later kernel adds would make the policy invalid");
}

static void lint_text(const struct lint *l)
{
        size_t end = l->policy->size;
        struct ipe_place place = {.line = 1, .column = 1, .offset = end, .length = l->size - end};

        if (end == l->size)
                return;
        for (size_t i = 0; i < end; i++, place.column++)
                if (l->text[i] == '\n' || (l->text[i] == '\r' && l->text[i + 1] != '\n')) {
                        place.line++;
                        place.column = 0;
                }
        find(l, TEXT_AFTER_NUL, place, "Cut the file there.", "", "%zu bytes are signed but not read",
             place.length);
}

int ipe_policy_lint(const char *text, size_t size, const struct ipe_lint_options *o, struct error *e)
{
        _cleanup_policy_ struct ipe_policy *policy = NULL;
        struct lint l = {.o = o, .text = text, .size = size};
        struct error reason = {};
        struct ipe_place place;
        int r;

        r = ipe_parse(text, size, &policy, &place, &reason);
        if (r == -ENOMEM)
                return error_errno(e, r, "policy");
        if (r < 0) {
                find(&l, SYNTAX, place, NULL, NULL, "%s (%s)", reason.message, strerrorname_np(-r));
                return 0;
        }
        l.policy = policy;
        lint_header(&l);
        lint_text(&l);
        for (enum ipe_operation i = 0; i < IPE_OPERATIONS; i++)
                lint_operation(&l, i);
        lint_rules(&l);
        return 0;
}
