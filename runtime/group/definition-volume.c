/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Volumes in the group file, and where containers mount them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/group/definition-parts.h"

#define FILE_NAME_MAX 253
#define MOUNT_PATH_MAX 1024

/* --- volumes --- */

static int read_volume_name(struct reader *r, const struct node *n, void *target)
{
        return reader_name(r, n, &((struct definition_volume *)target)->name);
}

static int set_type(struct reader *r, const struct node *n, struct definition_volume *v,
                    enum definition_volume_type type)
{
        if (v->type != VOLUME_UNKNOWN)
                return reader_fail(r, n, "a volume of one kind expected, found a second one");
        v->type = type;
        return 0;
}

static int read_empty_dir(struct reader *r, const struct node *n, void *target)
{
        static const struct reader_field none[] = {{}};
        static const char *const later[] = {"medium", "sizeLimit", NULL};
        int k;

        k = set_type(r, n, target, VOLUME_EMPTY_DIR);
        return k < 0 ? k : reader_map(r, n, none, later, target);
}

int definition_decode_secret(const char *text, void **ret, size_t *ret_size)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        int r;

        r = sd_json_variant_new_string(&v, text);
        return r < 0 ? r : sd_json_variant_unbase64(v, ret, ret_size);
}

static int read_secret_file(struct reader *r, const struct node *n, struct definition_secret *secret)
{
        _cleanup_free_ void *data = NULL;
        size_t length = strspn(n->key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."),
               size;
        int k;

        if (length == 0 || length > FILE_NAME_MAX || n->key[length] != '\0' || n->key[0] == '.')
                return reader_fail(r, n,
                                   "a file name of 1 to %d letters, digits, \"-\", \"_\" and inner \".\" "
                                   "expected, found "
                                   "\"%.64s\"",
                                   FILE_NAME_MAX, n->key);
        secret->name = strdup(n->key);
        if (!secret->name)
                return -ENOMEM;
        k = reader_string(r, n, &secret->value);
        if (k >= 0 && definition_decode_secret(secret->value, &data, &size) < 0)
                return reader_fail(r, n, "a value in base64 expected, found something else");
        return k;
}

static int read_secret(struct reader *r, const struct node *n, void *target)
{
        struct definition_volume *v = target;
        int k;

        k = set_type(r, n, v, VOLUME_SECRET);
        if (k >= 0)
                k = reader_expect(r, n, NODE_MAP);
        if (k < 0)
                return k;
        if (n->n == 0 || n->n > DEFINITION_LIST_MAX)
                return reader_fail(r, n, "1 to %d files expected, found %zu", DEFINITION_LIST_MAX, n->n);
        v->secrets = calloc(n->n, sizeof(*v->secrets));
        if (!v->secrets)
                return -ENOMEM;
        for (size_t i = 0; k >= 0 && i < n->n; i++) {
                v->n_secrets = i + 1;
                k = read_secret_file(r, n->children[i], &v->secrets[i]);
        }
        return k;
}

static int refuse_azure_file(struct reader *r, const struct node *n, void *target)
{
        return reader_fail(
                r, n,
                "not to be had: an SMB share, which nothing can verify or confine, is not mounted here");
}

static int refuse_git_repo(struct reader *r, const struct node *n, void *target)
{
        return reader_fail(
                r, n,
                "not to be had: nothing is fetched outside a container; let an init container do it, into an "
                "emptyDir");
}

static int read_volume(struct reader *r, const struct node *n, void *element)
{
        static const struct reader_field fields[] = {
                {"name", read_volume_name, true},    {"emptyDir", read_empty_dir, false},
                {"secret", read_secret, false},      {"azureFile", refuse_azure_file, false},
                {"gitRepo", refuse_git_repo, false}, {}};
        static const char *const later[] = {"secretReference", NULL};
        int k;

        k = reader_map(r, n, fields, later, element);
        if (k >= 0 && ((struct definition_volume *)element)->type == VOLUME_UNKNOWN)
                return reader_fail(r, n, "emptyDir or secret expected, found neither");
        return k;
}

int definition_read_volumes(struct reader *r, const struct node *n, void *target)
{
        struct definition *d = target;
        int k;

        k = reader_list(r, n, DEFINITION_VOLUMES_MAX, sizeof(*d->volumes), read_volume, (void **)&d->volumes,
                        &d->n_volumes);
        for (size_t i = 0; k >= 0 && i < d->n_volumes; i++)
                for (size_t j = 0; j < i; j++)
                        if (strcmp(d->volumes[i].name, d->volumes[j].name) == 0)
                                return reader_fail(r, n->children[i], "volume \"%s\" is there twice",
                                                   d->volumes[i].name);
        return k;
}

/* --- mounts --- */

static int read_mount_name(struct reader *r, const struct node *n, void *target)
{
        return reader_name(r, n, &((struct definition_mount *)target)->volume);
}

/* Whether the path is the directory, or in it. */
static bool is_below(const char *path, const char *directory)
{
        size_t n = strlen(directory);

        return strncmp(path, directory, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static bool is_plain_path(const char *path)
{
        if (path[0] != '/' || strlen(path) > MOUNT_PATH_MAX || strchr(path, ':'))
                return false;
        while (*path == '/') {
                size_t n = strcspn(path + 1, "/");

                if (n == 0 || (path[1] == '.' && (n == 1 || (n == 2 && path[2] == '.'))))
                        return false;
                path += 1 + n;
        }
        return true;
}

/* What lies there decides what a container may do, or is its root. */
static int read_mount_path(struct reader *r, const struct node *n, void *target)
{
        static const char *const closed[] = {"/proc", "/sys", "/dev", "/.holdfast"};
        struct definition_mount *mount = target;
        size_t length;
        int k;

        k = reader_string(r, n, &mount->path);
        if (k < 0)
                return k;
        length = strlen(mount->path);
        if (length > 1 && mount->path[length - 1] == '/')
                mount->path[length - 1] = '\0';
        if (!is_plain_path(mount->path))
                return reader_fail(
                        r, n,
                        "an absolute path below \"/\" of at most %d bytes without \":\", \".\" and \"..\" "
                        "expected, found \"%.64s\"",
                        MOUNT_PATH_MAX, n->text);
        for (size_t i = 0; i < ELEMENTSOF(closed); i++)
                if (is_below(mount->path, closed[i]))
                        return reader_fail(r, n, "a path outside %s expected, found \"%.64s\"", closed[i],
                                           n->text);
        return 0;
}

static int read_read_only(struct reader *r, const struct node *n, void *target)
{
        int k;

        k = reader_expect(r, n, NODE_BOOLEAN);
        if (k >= 0)
                ((struct definition_mount *)target)->read_only = strcmp(n->text, "true") == 0;
        return k;
}

static int read_mount(struct reader *r, const struct node *n, void *element)
{
        static const struct reader_field fields[] = {{"name", read_mount_name, true},
                                                     {"mountPath", read_mount_path, true},
                                                     {"readOnly", read_read_only, false},
                                                     {}};
        static const char *const later[] = {NULL};

        return reader_map(r, n, fields, later, element);
}

int definition_read_mounts(struct reader *r, const struct node *n, void *target)
{
        struct definition_container *c = target;
        int k;

        k = reader_list(r, n, DEFINITION_VOLUMES_MAX, sizeof(*c->mounts), read_mount, (void **)&c->mounts,
                        &c->n_mounts);
        for (size_t i = 0; k >= 0 && i < c->n_mounts; i++)
                for (size_t j = 0; j < i; j++)
                        if (strcmp(c->mounts[i].path, c->mounts[j].path) == 0)
                                return reader_fail(r, n->children[i], "mountPath \"%s\" is there twice",
                                                   c->mounts[i].path);
        return k;
}

static const struct definition_volume *find_volume(const struct definition *d, const char *name)
{
        for (size_t i = 0; i < d->n_volumes; i++)
                if (strcmp(d->volumes[i].name, name) == 0)
                        return &d->volumes[i];
        return NULL;
}

int definition_check_mounts(struct reader *r, const struct node *n, struct definition *d)
{
        for (size_t i = 0; i < d->n_containers; i++)
                for (size_t j = 0; j < d->containers[i].n_mounts; j++) {
                        struct definition_mount *mount = &d->containers[i].mounts[j];
                        const struct definition_volume *volume = find_volume(d, mount->volume);

                        if (!volume)
                                return reader_fail(
                                        r, n,
                                        "container \"%s\": volumeMounts: the group has no volume \"%s\"",
                                        d->containers[i].name, mount->volume);
                        mount->read_only = mount->read_only || volume->type == VOLUME_SECRET;
                }
        return 0;
}

/* --- as JSON --- */

static int secrets_to_json(const struct definition_volume *v, sd_json_variant **ret)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < v->n_secrets; i++)
                r = sd_json_variant_set_field_string(ret, v->secrets[i].name, v->secrets[i].value);
        return r;
}

int definition_volumes_to_json(const struct definition *d, sd_json_variant **ret)
{
        _cleanup_json_ sd_json_variant *list = NULL;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < d->n_volumes; i++) {
                const struct definition_volume *v = &d->volumes[i];
                _cleanup_json_ sd_json_variant *secret = NULL;

                r = secrets_to_json(v, &secret);
                if (r >= 0)
                        r = sd_json_variant_append_arraybo(
                                &list, SD_JSON_BUILD_PAIR_STRING("name", v->name),
                                SD_JSON_BUILD_PAIR_CONDITION(v->type == VOLUME_EMPTY_DIR, "emptyDir",
                                                             SD_JSON_BUILD_EMPTY_OBJECT),
                                SD_JSON_BUILD_PAIR_CONDITION(v->type == VOLUME_SECRET, "secret",
                                                             SD_JSON_BUILD_VARIANT(secret)));
        }
        if (r >= 0)
                *ret = TAKE_PTR(list);
        return r < 0 ? r : 0;
}

int definition_mounts_to_json(const struct definition_container *c, sd_json_variant **ret)
{
        _cleanup_json_ sd_json_variant *list = NULL;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < c->n_mounts; i++)
                r = sd_json_variant_append_arraybo(
                        &list, SD_JSON_BUILD_PAIR_STRING("name", c->mounts[i].volume),
                        SD_JSON_BUILD_PAIR_STRING("mountPath", c->mounts[i].path),
                        SD_JSON_BUILD_PAIR_BOOLEAN("readOnly", c->mounts[i].read_only));
        if (r >= 0)
                *ret = TAKE_PTR(list);
        return r < 0 ? r : 0;
}

void definition_free_volumes(struct definition_volume *volumes, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                for (size_t k = 0; k < volumes[i].n_secrets; k++) {
                        free(volumes[i].secrets[k].name);
                        free(volumes[i].secrets[k].value);
                }
                free(volumes[i].secrets);
                free(volumes[i].name);
        }
        free(volumes);
}

void definition_free_mounts(struct definition_mount *mounts, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                free(mounts[i].volume);
                free(mounts[i].path);
        }
        free(mounts);
}
