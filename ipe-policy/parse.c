/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ipe-policy/ipe-policy.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define N_OPERATIONS 7

static const char *const operations[N_OPERATIONS] = {
        "EXECUTE", "FIRMWARE", "KMODULE", "KEXEC_IMAGE", "KEXEC_INITRAMFS", "POLICY", "X509_CERT",
};

struct parser {
        struct ipe_policy policy;
        unsigned line;
        bool have_header;
        bool global_default, global_allow;
        bool execute_allow;
        bool operation_default[N_OPERATIONS];
        struct error *error;
};

static int bad_token(struct parser *p, int r, const char *expected, const char *found)
{
        return error_set(p->error, r, "line %u: %s expected, found \"%s\"", p->line, expected, found);
}

static const char *value_of(const char *token, const char *key)
{
        size_t n = strlen(key);

        return strncmp(token, key, n) == 0 ? token + n : NULL;
}

static int parse_version(struct parser *p, const char *text)
{
        for (size_t i = 0; i < 3; i++) {
                unsigned long n;
                char *end;

                if (*text == '+')
                        text++;
                if (!isdigit((unsigned char)*text))
                        return bad_token(p, -EINVAL, "a version of three numbers", text);
                errno = 0;
                n = strtoul(text, &end, 10);
                if (errno != 0 || n > UINT16_MAX)
                        return bad_token(p, -ERANGE, "a version part of at most 65535", text);
                if (*end != (i < 2 ? '.' : '\0'))
                        return bad_token(p, i < 2 ? -EBADMSG : -EINVAL, "a version of three numbers", text);
                p->policy.version[i] = (uint16_t)n;
                text = end + 1;
        }
        return 0;
}

static int parse_header(struct parser *p, char **tokens, size_t n)
{
        const char *name = n == 2 ? value_of(tokens[0], "policy_name=") : NULL;
        const char *version = n == 2 ? value_of(tokens[1], "policy_version=") : NULL;

        if (!name || !version || !*name)
                return bad_token(p, -EBADMSG, "\"policy_name=NAME policy_version=N.N.N\"", tokens[0]);
        if (strlen(name) > IPE_NAME_MAX)
                return bad_token(p, -ENAMETOOLONG, "a name of at most 255 bytes", name);
        if (strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
                return bad_token(p, -EACCES, "a name that is a file name", name);
        memcpy(p->policy.name, name, strlen(name) + 1);
        p->have_header = true;
        return parse_version(p, version);
}

static int parse_operation(struct parser *p, const char *token, size_t *ret)
{
        const char *value = value_of(token, "op=");

        for (size_t i = 0; value && i < N_OPERATIONS; i++)
                if (strcmp(operations[i], value) == 0) {
                        *ret = i;
                        return 0;
                }
        return bad_token(p, -EBADMSG, "\"op=\" and an operation", token);
}

static int parse_action(struct parser *p, const char *token, bool *ret_allow)
{
        const char *value = value_of(token, "action=");

        if (!value || (strcmp(value, "ALLOW") != 0 && strcmp(value, "DENY") != 0))
                return bad_token(p, -EBADMSG, "\"action=ALLOW\" or \"action=DENY\"", token);
        *ret_allow = *value == 'A';
        return 0;
}

/* Operation 0 is EXECUTE. */
static void note_default(struct parser *p, bool global, size_t operation, bool allow)
{
        if (global)
                p->global_allow = allow;
        else if (operation == 0)
                p->execute_allow = allow;
}

static int parse_default(struct parser *p, char **tokens, size_t n)
{
        bool allow = false, *slot = &p->global_default;
        size_t operation = 0;
        int r;

        if (n != 2 && n != 3)
                return bad_token(p, -EBADMSG, "\"DEFAULT [op=OPERATION] action=ACTION\"", tokens[n - 1]);
        if (n == 3) {
                r = parse_operation(p, tokens[1], &operation);
                if (r < 0)
                        return r;
                slot = &p->operation_default[operation];
        }
        if (*slot)
                return bad_token(p, -EBADMSG, "one default each", tokens[n - 1]);
        *slot = true;
        r = parse_action(p, tokens[n - 1], &allow);
        note_default(p, n == 2, operation, allow);
        return r;
}

/* ALG:HEX, an even number of digits; as in the kernel both may be empty. */
static int parse_digest(struct parser *p, const char *value)
{
        const char *hex = strchr(value, ':');

        if (!hex)
                return bad_token(p, -EBADMSG, "ALGORITHM:HEX", value);
        hex++;
        if (strlen(hex) % 2 != 0 || strspn(hex, "0123456789abcdefABCDEF") != strlen(hex))
                return bad_token(p, -EINVAL, "an even number of hexadecimal digits", hex);
        return 0;
}

/* *ret_positive: the property asks for something that a file must have. */
static int parse_property(struct parser *p, const char *token, bool *ret_boot_verified, bool *ret_positive)
{
        static const char *const flags[] = {"boot_verified=", "dmverity_signature=", "fsverity_signature="};
        static const char *const digests[] = {"dmverity_roothash=", "fsverity_digest="};
        const char *value;

        for (size_t i = 0; i < ELEMENTSOF(digests); i++)
                if ((value = value_of(token, digests[i]))) {
                        *ret_positive = true;
                        return parse_digest(p, value);
                }
        for (size_t i = 0; i < ELEMENTSOF(flags); i++) {
                value = value_of(token, flags[i]);
                if (!value)
                        continue;
                if (strcmp(value, "TRUE") != 0 && strcmp(value, "FALSE") != 0)
                        return bad_token(p, -EBADMSG, "TRUE or FALSE", token);
                *ret_boot_verified = *ret_boot_verified || (i == 0 && *value == 'T');
                *ret_positive = *ret_positive || *value == 'T';
                return 0;
        }
        return bad_token(p, -EBADMSG, "a property", token);
}

static int parse_rule(struct parser *p, char **tokens, size_t n)
{
        bool allow = false, boot_verified = false, positive = false;
        size_t operation = 0;
        int r;

        r = parse_operation(p, tokens[0], &operation);
        if (r < 0)
                return r;
        if (n < 2)
                return bad_token(p, -EBADMSG, "an action", "end of line");
        for (size_t i = 1; i + 1 < n; i++) {
                r = parse_property(p, tokens[i], &boot_verified, &positive);
                if (r < 0)
                        return r;
        }
        r = parse_action(p, tokens[n - 1], &allow);
        if (r < 0)
                return r;
        p->policy.n_rules++;
        p->policy.allows_boot_verified = p->policy.allows_boot_verified || (boot_verified && allow);
        p->policy.allows_anything = p->policy.allows_anything || (operation == 0 && allow && !positive);
        return 0;
}

static int parse_line(struct parser *p, char *line)
{
        _cleanup_free_ char **tokens = NULL;
        char *comment = strchr(line, '#'), *save = NULL;
        size_t n = 0;

        if (comment)
                *comment = '\0';
        for (size_t len = strlen(line); len > 0 && isspace((unsigned char)line[len - 1]);)
                line[--len] = '\0';
        tokens = calloc(strlen(line) / 2 + 2, sizeof(*tokens));
        if (!tokens)
                return -ENOMEM;
        for (char *t = strtok_r(line, " \t", &save); t; t = strtok_r(NULL, " \t", &save))
                tokens[n++] = t;
        if (n == 0)
                return 0;
        if (!p->have_header)
                return parse_header(p, tokens, n);
        if (strcmp(tokens[0], "DEFAULT") == 0)
                return parse_default(p, tokens, n);
        return parse_rule(p, tokens, n);
}

/* The kernel takes a policy only when every operation has an answer. */
static int check_defaults(struct parser *p)
{
        if (!p->have_header)
                return error_set(p->error, -EBADMSG, "a header line expected, found none");
        for (size_t i = 0; !p->global_default && i < N_OPERATIONS; i++)
                if (!p->operation_default[i])
                        return error_set(p->error, -EBADMSG,
                                         "a DEFAULT for all operations or for %s expected, found none",
                                         operations[i]);
        return 0;
}

int ipe_policy_parse(const char *text, size_t size, struct ipe_policy *ret, struct error *e)
{
        struct parser p = {.error = e};
        _cleanup_free_ char *copy = NULL;
        int r;

        if (size > IPE_POLICY_MAX)
                return error_set(e, -EFBIG, "at most %u bytes expected, found %zu", IPE_POLICY_MAX, size);
        copy = strndup(text, size);
        if (!copy)
                return -ENOMEM;
        for (char *line = copy, *next; line; line = next) {
                next = strpbrk(line, "\n\r");
                if (next)
                        *next++ = '\0';
                p.line++;
                r = parse_line(&p, line);
                if (r < 0)
                        return r;
        }
        r = check_defaults(&p);
        if (r < 0)
                return r;
        if (p.operation_default[0] ? p.execute_allow : p.global_allow)
                p.policy.allows_anything = true;
        *ret = p.policy;
        return 0;
}

int ipe_policy_compare_versions(const uint16_t a[static 3], const uint16_t b[static 3])
{
        for (size_t i = 0; i < 3; i++)
                if (a[i] != b[i])
                        return a[i] < b[i] ? -1 : 1;
        return 0;
}
