/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/layer/layer.h"

/* A driver that counts, and in which "mounted" is a file in the directory. */
struct counter {
        unsigned opened, closed;
        int fail;
};

static int fake_open(void *userdata, const struct store_layer *layer, const char *path, struct error *e)
{
        struct counter *c = userdata;
        char name[256];
        FILE *f;

        if (c->fail)
                return error_set(e, c->fail, "no");
        (void)snprintf(name, sizeof(name), "%s/mounted", path);
        f = fopen(name, "w");
        cr_assert_not_null(f);
        (void)fclose(f);
        c->opened++;
        return 0;
}

static int fake_is_open(void *userdata, const char *hex, const char *path)
{
        char name[256];

        (void)snprintf(name, sizeof(name), "%s/mounted", path);
        return access(name, F_OK) == 0;
}

static int fake_close(void *userdata, const char *hex, const char *path, struct error *e)
{
        struct counter *c = userdata;
        char name[256];

        c->closed += (unsigned)fake_is_open(userdata, hex, path);
        (void)snprintf(name, sizeof(name), "%s/mounted", path);
        (void)unlink(name);
        return rmdir(path) < 0 && errno != ENOENT ? -errno : 0;
}

static char directory[] = "/tmp/test-layer-XXXXXX";
static struct counter counter;
static const struct layer_driver driver = {fake_open, fake_close, fake_is_open, &counter};

static struct store_layer layer_of(char digit)
{
        struct store_layer layer = {};

        (void)snprintf(layer.digest, sizeof(layer.digest), "sha256:%064d", 0);
        layer.digest[70] = digit;
        return layer;
}

static struct layers *new_layers(void)
{
        struct layers *l = NULL;
        struct error e = {};

        cr_assert_eq(layers_new(directory, &driver, &l, &e), 0, "%s", e.message);
        return l;
}

static void make_directory(void)
{
        cr_assert_not_null(mkdtemp(directory));
}

static void remove_directory(void)
{
        cr_assert_eq(rmdir(directory), 0, "nothing is left: %s", strerror(errno));
}

TestSuite(layer, .init = make_directory, .fini = remove_directory);

Test(layer, opened_once_and_gone_with_the_last_user)
{
        struct layers *l = new_layers();
        struct store_layer one = layer_of('1'), two = layer_of('2');
        const char *a, *b, *c;

        cr_assert_eq(layers_acquire(l, &one, &a, NULL), 0);
        cr_assert_eq(layers_acquire(l, &two, &c, NULL), 0);
        cr_assert_eq(layers_acquire(l, &one, &b, NULL), 0);
        cr_assert_str_eq(a, b);
        cr_assert_eq(counter.opened, 2);
        cr_assert_eq(layers_users(l, one.digest), 2);
        cr_assert_eq(layers_release(l, one.digest, NULL), 0);
        cr_assert_eq(counter.closed, 0);
        cr_assert_eq(layers_release(l, one.digest, NULL), 0);
        cr_assert_eq(counter.closed, 1);
        cr_assert_eq(layers_release(l, one.digest, NULL), -ENOENT);
        cr_assert_eq(layers_path(l, two.digest, &a, NULL), 0);
        cr_assert_eq(layers_release(l, two.digest, NULL), 0);
        cr_assert_eq(layers_path(l, two.digest, &a, NULL), -ENOENT);
        (void)layers_free(l);
}

Test(layer, a_failure_leaves_nothing)
{
        struct layers *l = new_layers();
        struct store_layer one = layer_of('1'), bad = layer_of('1');
        const char *path;

        counter.fail = -EKEYREJECTED;
        cr_assert_eq(layers_acquire(l, &one, &path, NULL), -EKEYREJECTED);
        cr_assert_eq(layers_users(l, one.digest), 0);
        counter.fail = 0;
        bad.digest[8] = '/';
        cr_assert_eq(layers_acquire(l, &bad, &path, NULL), -EINVAL);
        (void)strcpy(bad.digest, "sha256:../x");
        cr_assert_eq(layers_acquire(l, &bad, &path, NULL), -EINVAL);
        (void)layers_free(l);
}

Test(layer, a_successor_takes_over_and_collects)
{
        struct layers *l = new_layers();
        struct store_layer one = layer_of('1'), two = layer_of('2');
        const char *path;

        cr_assert_eq(layers_acquire(l, &one, &path, NULL), 0);
        cr_assert_eq(layers_acquire(l, &two, &path, NULL), 0);
        (void)layers_free(l); /* killed */
        l = new_layers();
        cr_assert_eq(layers_acquire(l, &two, &path, NULL), 0);
        cr_assert_eq(counter.opened, 2, "it was open already");
        cr_assert_eq(layers_collect(l, NULL), 1);
        cr_assert_eq(counter.closed, 1);
        cr_assert_eq(layers_release(l, two.digest, NULL), 0);
        cr_assert_eq(counter.closed, 2);
        (void)layers_free(l);
}
