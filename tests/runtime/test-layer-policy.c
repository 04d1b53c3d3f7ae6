/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The active IPE policy decides whether a group starts, before the kernel would. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "runtime/layer/layer.h"

#define HEAD "policy_name=host policy_version=2.0.1\nDEFAULT action=DENY\n"
#define SIGNED "op=EXECUTE dmverity_signature=TRUE action=ALLOW\n"
#define REVOKED "abababababababababababababababababababababababababababababababab"

static char ipe[] = "/tmp/test-layer-policy-XXXXXX";
static struct store_layer layers[2];

static void put(const char *name, const char *file, const char *text)
{
        char path[128];

        (void)snprintf(path, sizeof(path), "%s/policies/%s", ipe, name);
        cr_assert_eq(make_directories(path, 0755, NULL), 0);
        (void)snprintf(path, sizeof(path), "%s/policies/%s/%s", ipe, name, file);
        cr_assert_eq(write_file_atomic(AT_FDCWD, path, text, strlen(text), 0644, NULL), 0);
}

static void put_policy(const char *name, const char *active, const char *text)
{
        put(name, "active", active);
        put(name, "policy", text);
}

static void enforce(const char *value)
{
        char path[128];

        (void)snprintf(path, sizeof(path), "%s/enforce", ipe);
        cr_assert_eq(write_file_atomic(AT_FDCWD, path, value, strlen(value), 0644, NULL), 0);
}

static void begin(void)
{
        cr_assert_not_null(mkdtemp(ipe));
        enforce("1");
        for (size_t i = 0; i < ELEMENTSOF(layers); i++) {
                (void)snprintf(layers[i].digest, sizeof(layers[i].digest), "sha256:%064zu", i);
                cr_assert_eq(verity_geometry_profile(4096, 4096, NULL, &layers[i].geometry, NULL), 0);
        }
        cr_assert_eq(verity_geometry_set_root_hash(
                             &layers[0].geometry,
                             "0101010101010101010101010101010101010101010101010101010101010101", NULL),
                     0);
        cr_assert_eq(verity_geometry_set_root_hash(&layers[1].geometry, REVOKED, NULL), 0);
}

static void end(void)
{
        char command[64];

        (void)snprintf(command, sizeof(command), "rm -rf %s", ipe);
        cr_assert_eq(system(command), 0); /* NOLINT(cert-env33-c) */
}

TestSuite(layer_policy, .init = begin, .fini = end);

static int check(struct error *e)
{
        return layers_check_policy(ipe, layers, ELEMENTSOF(layers), e);
}

Test(layer_policy, nothing_is_enforced)
{
        struct error e = {};

        cr_expect_eq(layers_check_policy("/nonexistent", layers, 2, &e), 0, "%s", e.message);
        put_policy("loaded", "0", HEAD);
        cr_expect_eq(check(&e), 0, "%s", e.message);
        put_policy("host", "1", HEAD);
        enforce("0");
        cr_expect_eq(check(&e), 0, "%s", e.message);
        enforce("1");
        cr_expect_eq(check(&e), -EKEYREJECTED);
}

Test(layer_policy, the_active_one_of_several_decides)
{
        struct error e = {};

        put_policy("a", "0", HEAD);
        put_policy("b", "1", HEAD SIGNED);
        put_policy("c", "0", HEAD);
        cr_expect_eq(check(&e), 0, "%s", e.message);
}

Test(layer_policy, a_revoked_layer_is_named_with_its_rule)
{
        struct error e = {};

        put_policy("host", "1", HEAD "op=EXECUTE dmverity_roothash=sha256:" REVOKED " action=DENY\n" SIGNED);
        cr_expect_eq(layers_check_policy(ipe, layers, 1, &e), 0, "%s", e.message);
        cr_expect_eq(check(&e), -EKEYREJECTED);
        cr_expect_str_eq(
                e.message,
                "layer sha256:0000000000000000000000000000000000000000000000000000000000000001: may not "
                "execute: IPE policy \"host\" 2.0.1, line 3: rule=\"op=EXECUTE "
                "dmverity_roothash=\"sha256\":"
                "ABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABAB action=DENY\"");
}

Test(layer_policy, a_default_denies_too)
{
        struct error e = {};

        put_policy("host", "1", HEAD "op=EXECUTE dmverity_roothash=sha256:" REVOKED " action=ALLOW\n");
        cr_expect_eq(check(&e), -EKEYREJECTED);
        cr_expect_not_null(strstr(e.message, "line 2: rule=\"DEFAULT action=DENY\""), "%s", e.message);
        cr_expect_eq(layers_check_policy(ipe, &layers[1], 1, &e), 0);
}

/* What cannot be read is not a policy that allows. */
Test(layer_policy, damage_is_an_error)
{
        struct error e = {};

        put_policy("host", "1", "policy_name=host\n");
        cr_expect_eq(check(&e), -EBADMSG);
        cr_expect_not_null(strstr(e.message, "/policies: host/policy: 1:1"), "%s", e.message);
        put("without", "policy", HEAD);
        put("host", "active", "0");
        cr_expect_eq(check(&e), -ENOENT);
        cr_expect_not_null(strstr(e.message, "/policies: without/active"), "%s", e.message);
}
