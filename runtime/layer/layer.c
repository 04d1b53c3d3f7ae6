/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/layer/layer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/file.h"

#define DIGEST_PREFIX "sha256:"
#define HEX_SIZE 64

struct layer {
        char hex[HEX_SIZE + 1];
        char *path;
        size_t users;
};

struct layers {
        dev_t *closing; /* devices of released layers, as far as known to be there */
        size_t n_closing;
        char *directory;
        struct layer_driver driver;
        struct layer *list;
        size_t n;
};

int layers_new(const char *directory, const struct layer_driver *driver, struct layers **ret, struct error *e)
{
        _cleanup_(layers_free_ptr) struct layers *l = calloc(1, sizeof(*l));
        int r;

        if (!l)
                return -ENOMEM;
        l->driver = *driver;
        l->directory = strdup(directory);
        if (!l->directory)
                return -ENOMEM;
        r = make_directories(directory, 0700, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        return 0;
}

struct layers *layers_free(struct layers *l)
{
        if (!l)
                return NULL;
        for (size_t i = 0; i < l->n; i++)
                free(l->list[i].path);
        free(l->list);
        free(l->closing);
        free(l->directory);
        free(l);
        return NULL;
}

static bool hex_valid(const char *hex)
{
        return strspn(hex, "0123456789abcdef") == HEX_SIZE && hex[HEX_SIZE] == '\0';
}

static struct layer *find(const struct layers *l, const char *hex)
{
        for (size_t i = 0; i < l->n; i++)
                if (strcmp(l->list[i].hex, hex) == 0)
                        return &l->list[i];
        return NULL;
}

static int parse_digest(const char *digest, const char **ret_hex, struct error *e)
{
        const char *hex = digest + strlen(DIGEST_PREFIX);

        if (strncmp(digest, DIGEST_PREFIX, strlen(DIGEST_PREFIX)) != 0 || !hex_valid(hex))
                return error_set(e, -EINVAL, "layer: a digest " DIGEST_PREFIX "HEX expected, found \"%.80s\"",
                                 digest);
        *ret_hex = hex;
        return 0;
}

/* Makes the layer be mounted: taken over where a predecessor left it whole, opened anew otherwise. */
static int bring_up(struct layers *l, const struct store_layer *layer, const char *hex, const char *path,
                    struct error *e)
{
        int r;

        r = l->driver.is_open(l->driver.userdata, hex, path);
        if (r != 0)
                return r < 0 ? error_errno(e, r, "%s", path) : 0;
        r = l->driver.close(l->driver.userdata, hex, path, e);
        if (r < 0)
                return r;
        r = make_directories(path, 0700, e);
        if (r >= 0)
                r = l->driver.open(l->driver.userdata, layer, path, e);
        if (r < 0) {
                (void)l->driver.close(l->driver.userdata, hex, path, NULL);
                return error_prefix(e, r, "layer %s", layer->digest);
        }
        return 0;
}

int layers_acquire(struct layers *l, const struct store_layer *layer, const char **ret_path, struct error *e)
{
        _cleanup_free_ char *path = NULL;
        struct layer *found, *bigger;
        const char *hex = NULL;
        int r;

        r = parse_digest(layer->digest, &hex, e);
        if (r < 0)
                return r;
        found = find(l, hex);
        if (found) {
                found->users++;
                *ret_path = found->path;
                return 0;
        }
        if (asprintf(&path, "%s/%s", l->directory, hex) < 0)
                return -ENOMEM;
        bigger = reallocarray(l->list, l->n + 1, sizeof(*bigger));
        if (!bigger)
                return -ENOMEM;
        l->list = bigger;
        r = bring_up(l, layer, hex, path, e);
        if (r < 0)
                return r;
        found = &l->list[l->n++];
        memcpy(found->hex, hex, sizeof(found->hex));
        found->users = 1;
        *ret_path = found->path = TAKE_PTR(path);
        return 0;
}

/* Notes the device that is mounted at the path. Without memory it is not waited for. */
static void note_closing(struct layers *l, const char *path)
{
        dev_t *bigger = reallocarray(l->closing, l->n_closing + 1, sizeof(*bigger));
        struct stat st;

        if (!bigger)
                return;
        l->closing = bigger;
        if (stat(path, &st) >= 0 && is_mount_point(path) > 0)
                l->closing[l->n_closing++] = st.st_dev;
}

size_t layers_closing(struct layers *l)
{
        size_t kept = 0;

        for (size_t i = 0; i < l->n_closing; i++) {
                char path[64];

                (void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(l->closing[i]),
                               minor(l->closing[i]));
                if (file_exists(AT_FDCWD, path) > 0)
                        l->closing[kept++] = l->closing[i];
        }
        l->n_closing = kept;
        return kept;
}

static int find_used(const struct layers *l, const char *digest, struct layer **ret, struct error *e)
{
        const char *hex = NULL;
        int r;

        r = parse_digest(digest, &hex, e);
        if (r < 0)
                return r;
        *ret = find(l, hex);
        return *ret ? 0 : error_set(e, -ENOENT, "layer %s is not in use", digest);
}

int layers_release(struct layers *l, const char *digest, struct error *e)
{
        struct layer *found = NULL;
        int r;

        r = find_used(l, digest, &found, e);
        if (r < 0)
                return r;
        if (--found->users > 0)
                return 0;
        note_closing(l, found->path);
        r = l->driver.close(l->driver.userdata, found->hex, found->path, e);
        free(found->path);
        *found = l->list[--l->n];
        return r;
}

int layers_collect(struct layers *l, struct error *e)
{
        _cleanup_closedir_ DIR *dir = opendir(l->directory);
        int n = 0, r = 0;

        if (!dir)
                return error_errno(e, -errno, "%s", l->directory);
        for (struct dirent *d; (d = readdir(dir));) {
                char path[PATH_MAX];
                int k;

                if (!hex_valid(d->d_name) || find(l, d->d_name))
                        continue;
                if (snprintf(path, sizeof(path), "%s/%s", l->directory, d->d_name) >= (int)sizeof(path))
                        continue;
                k = l->driver.close(l->driver.userdata, d->d_name, path, e);
                if (k < 0)
                        r = k;
                else
                        n++;
        }
        return r < 0 ? r : n;
}

int layers_path(const struct layers *l, const char *digest, const char **ret_path, struct error *e)
{
        struct layer *found = NULL;
        int r;

        r = find_used(l, digest, &found, e);
        if (r < 0)
                return r;
        *ret_path = found->path;
        return 0;
}

size_t layers_users(const struct layers *l, const char *digest)
{
        const char *hex = NULL;
        const struct layer *found = parse_digest(digest, &hex, NULL) < 0 ? NULL : find(l, hex);

        return found ? found->users : 0;
}
