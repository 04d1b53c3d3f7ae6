/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipe-policy/internal.h"

#define BLANKS " \t"

static const char *const operations[IPE_OPERATIONS] = {
        "EXECUTE", "FIRMWARE", "KMODULE", "KEXEC_IMAGE", "KEXEC_INITRAMFS", "POLICY", "X509_CERT",
};

static const char *const properties[IPE_PROPERTIES] = {
        [IPE_BOOT_VERIFIED] = "boot_verified",           [IPE_DMVERITY_SIGNATURE] = "dmverity_signature",
        [IPE_FSVERITY_SIGNATURE] = "fsverity_signature", [IPE_DMVERITY_ROOTHASH] = "dmverity_roothash",
        [IPE_FSVERITY_DIGEST] = "fsverity_digest",
};

struct parser {
        struct ipe_policy *policy;
        bool have_header;
        const char *line_start;
        unsigned line;
        struct ipe_place *place; /* of the error */
        struct error *error;
};

const char *ipe_operation_to_string(enum ipe_operation operation)
{
        return operation < IPE_OPERATIONS ? operations[operation] : "UNKNOWN";
}

const char *ipe_property_to_string(enum ipe_property_type type)
{
        return properties[type];
}

enum ipe_operation ipe_operation_from_string(const char *name)
{
        enum ipe_operation i = 0;

        while (i < IPE_OPERATIONS && strcmp(operations[i], name) != 0)
                i++;
        return i;
}

bool ipe_is_space(char c)
{
        return isascii((unsigned char)c) ? isspace((unsigned char)c) != 0 : (unsigned char)c == 0xA0;
}

size_t ipe_line_length(char *line, char **ret_next)
{
        size_t n = strcspn(line, "\n\r");

        if (line[n] == '\0')
                *ret_next = NULL;
        else
                *ret_next = line + n + (line[n] == '\r' && line[n + 1] == '\n' ? 2 : 1);
        return n;
}

void ipe_printable(const char *s, size_t n, char *ret, size_t size)
{
        size_t at = 0;

        for (size_t i = 0; i < n && at + 5 <= size; i++)
                if (isascii((unsigned char)s[i]) && isprint((unsigned char)s[i]) && s[i] != '\\')
                        ret[at++] = s[i];
                else
                        at += (size_t)snprintf(ret + at, size - at, "\\x%02x", (unsigned char)s[i]);
        ret[at] = '\0';
}

static struct ipe_place place_of(const struct parser *p, const char *token)
{
        return (struct ipe_place){p->line, (unsigned)(token - p->line_start) + 1,
                                  (size_t)(token - p->policy->text), strlen(token)};
}

static int bad_token(struct parser *p, int r, const char *token, const char *expected)
{
        char found[160];

        *p->place = place_of(p, token);
        ipe_printable(token, strlen(token), found, sizeof(found));
        return error_set(p->error, r, "%u:%u: %s expected, found \"%s\"", p->place->line, p->place->column,
                         expected, found);
}

/* The next word of the line, NUL-terminated in place; NULL at its end. *rest is NULL after the last one. */
static char *next_word(char **rest)
{
        char *word;

        while ((word = strsep(rest, BLANKS)))
                if (*word != '\0')
                        return word;
        return NULL;
}

/* As match_token() does for "KEY=%s": a value of at least one byte. */
static char *value_of(char *word, const char *key)
{
        size_t n = strlen(key);

        return strncmp(word, key, n) == 0 && word[n] == '=' && word[n + 1] != '\0' ? word + n + 1 : NULL;
}

/* As kstrtou16() does. Digits beyond 64 bits are out of range before what follows them is looked at. */
static int parse_number(const char *text, uint16_t *ret)
{
        unsigned long n;
        char *end;

        if (*text == '+')
                text++;
        if (!isdigit((unsigned char)*text))
                return -EINVAL;
        errno = 0;
        n = strtoul(text, &end, 10);
        if (errno == ERANGE)
                return -ERANGE;
        if (*end != '\0')
                return -EINVAL;
        if (n > UINT16_MAX)
                return -ERANGE;
        *ret = (uint16_t)n;
        return 0;
}

static int parse_version(struct parser *p, char *text)
{
        struct ipe_place whole = place_of(p, text);
        char *rest = text, *part;
        size_t n = 0;
        int r;

        while ((part = strsep(&rest, "."))) {
                if (n >= ELEMENTSOF(p->policy->version))
                        return bad_token(p, -EBADMSG, part, "a version of three numbers");
                r = parse_number(part, &p->policy->version[n++]);
                if (r < 0)
                        return bad_token(p, r, part, "a version part from 0 to 65535");
        }
        if (n != ELEMENTSOF(p->policy->version))
                return bad_token(p, -EBADMSG, text, "a version of three numbers");
        p->policy->version_place = whole;
        return 0;
}

static int parse_header(struct parser *p, char *line)
{
        char *rest = line, *word = next_word(&rest), *value = value_of(word, "policy_name");
        int r;

        if (!value)
                return bad_token(p, -EBADMSG, word, "\"policy_name=NAME policy_version=N.N.N\"");
        p->policy->name = value;
        p->policy->name_place = place_of(p, value);
        word = next_word(&rest);
        value = word ? value_of(word, "policy_version") : NULL;
        if (!value)
                return bad_token(p, -EBADMSG, word ?: p->policy->name,
                                 "\"policy_version=N.N.N\" after the name");
        r = parse_version(p, value);
        if (r < 0)
                return r;
        word = next_word(&rest);
        if (word)
                return bad_token(p, -EBADMSG, word, "the end of the line after the version");
        p->have_header = true;
        return 0;
}

/* ALG:HEX, an even number of digits; as in the kernel both may be empty. */
static int parse_digest(struct parser *p, char *value, struct ipe_digest *ret)
{
        char *hex = strchr(value, ':');

        if (!hex)
                return bad_token(p, -EBADMSG, value, "ALGORITHM:HEX");
        if (strlen(hex + 1) % 2 != 0 || strspn(hex + 1, "0123456789abcdefABCDEF") != strlen(hex + 1))
                return bad_token(p, -EINVAL, hex + 1, "an even number of hexadecimal digits");
        *hex++ = '\0';
        for (char *c = hex; *c; c++)
                *c = (char)tolower((unsigned char)*c);
        *ret = (struct ipe_digest){value, hex};
        return 0;
}

static int parse_property(struct parser *p, char *word, struct ipe_rule *rule)
{
        struct ipe_property property = {.place = place_of(p, word)}, *bigger;
        char *value = NULL;
        int r = 0;

        for (; property.type < IPE_PROPERTIES; property.type++)
                if ((value = value_of(word, properties[property.type])))
                        break;
        if (!value)
                return bad_token(p, -EBADMSG, word, "a property or, last, an action");
        if (property.type == IPE_DMVERITY_ROOTHASH || property.type == IPE_FSVERITY_DIGEST)
                r = parse_digest(p, value, &property.digest);
        else if (strcmp(value, "TRUE") == 0 || strcmp(value, "FALSE") == 0)
                property.value = *value == 'T';
        else
                r = bad_token(p, -EBADMSG, value, "TRUE or FALSE");
        if (r < 0)
                return r;
        bigger = reallocarray(rule->properties, rule->n_properties + 1, sizeof(*bigger));
        if (!bigger)
                return -ENOMEM;
        rule->properties = bigger;
        rule->properties[rule->n_properties++] = property;
        return 0;
}

static int parse_action(struct parser *p, char *word, bool *ret_allow)
{
        const char *value = value_of(word, "action");

        if (!value || (strcmp(value, "ALLOW") != 0 && strcmp(value, "DENY") != 0))
                return bad_token(p, -EBADMSG, word, "\"action=ALLOW\" or \"action=DENY\" at the end");
        *ret_allow = *value == 'A';
        return 0;
}

static int keep_default(struct parser *p, const struct ipe_rule *rule, char *line)
{
        bool global = rule->operation == IPE_OPERATIONS;
        struct ipe_default *d = global ? &p->policy->global : &p->policy->defaults[rule->operation];

        if (rule->n_properties > 0)
                return bad_token(p, -EBADMSG, line, "no property in a DEFAULT");
        if (d->given)
                return bad_token(p, -EBADMSG, line, "one DEFAULT each");
        *d = (struct ipe_default){true, rule->allow, rule->place};
        return 0;
}

static int keep_rule(struct parser *p, struct ipe_rule *rule, char *line)
{
        struct ipe_rule *bigger;

        if (rule->operation == IPE_OPERATIONS)
                return bad_token(p, -EBADMSG, line, "\"op=OPERATION\" before the action");
        bigger = reallocarray(p->policy->rules, p->policy->n_rules + 1, sizeof(*bigger));
        if (!bigger)
                return -ENOMEM;
        p->policy->rules = bigger;
        p->policy->rules[p->policy->n_rules++] = *rule;
        rule->properties = NULL;
        return 0;
}

/* The words before the last one: [DEFAULT] [op=OPERATION PROPERTY…]. *ret_last is the last. */
static int parse_words(struct parser *p, char *first, struct ipe_rule *rule, bool *ret_default,
                       char **ret_last)
{
        char *rest = first, *word = next_word(&rest);
        int r;

        *ret_default = rest && strcmp(word, "DEFAULT") == 0;
        if (*ret_default)
                word = next_word(&rest);
        for (; rest; word = next_word(&rest)) {
                if (rule->operation != IPE_OPERATIONS) {
                        r = parse_property(p, word, rule);
                        if (r < 0)
                                return r;
                        continue;
                }
                if (value_of(word, "op"))
                        rule->operation = ipe_operation_from_string(value_of(word, "op"));
                if (rule->operation == IPE_OPERATIONS)
                        return bad_token(p, -EBADMSG, word, "\"op=\" and an operation");
        }
        *ret_last = word;
        return 0;
}

static int parse_rule(struct parser *p, char *line)
{
        struct ipe_rule rule = {.operation = IPE_OPERATIONS};
        char *first = line + strspn(line, BLANKS), *last = NULL;
        bool is_default = false;
        int r;

        rule.place = place_of(p, first);
        r = parse_words(p, first, &rule, &is_default, &last);
        if (r >= 0)
                r = parse_action(p, last, &rule.allow);
        if (r >= 0)
                r = is_default ? keep_default(p, &rule, first) : keep_rule(p, &rule, first);
        free(rule.properties);
        return r;
}

static int parse_line(struct parser *p, char *line)
{
        char *comment = strchr(line, '#');

        if (comment)
                *comment = '\0';
        for (size_t n = strlen(line); n > 0 && ipe_is_space(line[n - 1]);)
                line[--n] = '\0';
        if (*line == '\0')
                return 0;
        p->line_start = line;
        return p->have_header ? parse_rule(p, line) : parse_header(p, line);
}

static int check_whole(struct parser *p)
{
        if (!p->have_header)
                return error_set(p->error, -EBADMSG,
                                 "%u:%u: \"policy_name=NAME policy_version=N.N.N\" expected, found none",
                                 p->place->line, p->place->column);
        for (enum ipe_operation i = 0; i < IPE_OPERATIONS && !p->policy->global.given; i++)
                if (!p->policy->defaults[i].given)
                        return error_set(p->error, -EBADMSG,
                                         "%u:%u: a DEFAULT for all operations or for %s expected, found none",
                                         p->place->line, p->place->column, operations[i]);
        return 0;
}

/* The directory of the policy in securityfs has its name. */
static int check_name(struct parser *p)
{
        const char *name = p->policy->name;
        int r = 0;

        *p->place = p->policy->name_place;
        if (strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
                r = -EACCES;
        else if (strlen(name) > IPE_NAME_MAX)
                r = -ENAMETOOLONG;
        return r == 0 ? 0
                      : error_set(p->error, r,
                                  "%u:%u: a name that is a file name of at most %u bytes expected",
                                  p->place->line, p->place->column, IPE_NAME_MAX);
}

static int parse_lines(struct parser *p)
{
        int r;

        for (char *line = p->policy->text, *next; line; line = next) {
                size_t n = ipe_line_length(line, &next);

                line[n] = '\0';
                p->line++;
                r = parse_line(p, line);
                if (r < 0)
                        return r;
        }
        *p->place = (struct ipe_place){.line = p->line, .column = 1, .offset = p->policy->size};
        r = check_whole(p);
        return r < 0 ? r : check_name(p);
}

int ipe_parse(const char *text, size_t size, struct ipe_policy **ret, struct ipe_place *ret_place,
              struct error *e)
{
        _cleanup_policy_ struct ipe_policy *policy = calloc(1, sizeof(*policy));
        struct parser p = {.policy = policy, .place = ret_place, .error = e};
        int r;

        *ret_place = (struct ipe_place){.line = 1, .column = 1};
        if (!policy)
                return -ENOMEM;
        if (size > IPE_POLICY_MAX)
                return error_set(e, -EMSGSIZE, "a policy of at most %zu bytes expected, found %zu",
                                 IPE_POLICY_MAX, size);
        policy->size = strnlen(text, size);
        policy->text = strndup(text, size);
        if (!policy->text)
                return -ENOMEM;
        r = parse_lines(&p);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(policy);
        return 0;
}

int ipe_policy_parse(const char *text, size_t size, struct ipe_policy **ret, struct error *e)
{
        struct ipe_place place;

        return ipe_parse(text, size, ret, &place, e);
}

struct ipe_policy *ipe_policy_free(struct ipe_policy *p)
{
        if (!p)
                return NULL;
        for (size_t i = 0; i < p->n_rules; i++)
                free(p->rules[i].properties);
        free(p->rules);
        free(p->text);
        free(p);
        return NULL;
}

int ipe_policy_parse_version(const char *text, uint16_t ret[static 3])
{
        uint16_t version[3];

        for (size_t i = 0; i < 3; i++) {
                char *end;
                unsigned long part;

                if (strspn(text, "0123456789") < 1 || strspn(text, "0123456789") > 5)
                        return -EINVAL;
                part = strtoul(text, &end, 10);
                if (part > UINT16_MAX || *end != (i < 2 ? '.' : '\0'))
                        return -EINVAL;
                version[i] = (uint16_t)part;
                text = end + 1;
        }
        memcpy(ret, version, sizeof(version));
        return 0;
}

int ipe_policy_compare_versions(const uint16_t a[static 3], const uint16_t b[static 3])
{
        for (size_t i = 0; i < 3; i++)
                if (a[i] != b[i])
                        return a[i] < b[i] ? -1 : 1;
        return 0;
}
