/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verity diff */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/args.h"
#include "base/escape.h"
#include "base/log.h"
#include "disk-image.h"
#include "erofs-diff.h"
#include "program.h"

struct output_list {
        sd_json_variant **items;
        size_t n, room;
        char *hidden; /* what is below this path goes without saying, or NULL */
};

static void output_list_done(struct output_list *l)
{
        for (size_t i = 0; i < l->n; i++)
                sd_json_variant_unref(l->items[i]);
        free(l->items);
        free(l->hidden);
}

/* --- for people --- */

static void print_values(const struct erofs_difference *d, enum erofs_aspect a)
{
        const struct erofs_inode *b = d->before, *n = d->after;

        if (a == EROFS_TYPE || a == EROFS_MODE)
                printf(" %06o -> %06o", b->mode, n->mode);
        else if (a == EROFS_OWNER)
                printf(" %u:%u -> %u:%u", b->uid, b->gid, n->uid, n->gid);
        else if (a == EROFS_SIZE)
                printf(" %" PRIu64 " -> %" PRIu64, b->size, n->size);
}

static bool below(const char *path, const char *directory)
{
        size_t n = directory ? strlen(directory) : 0;

        return directory && strncmp(path, directory, n) == 0 && path[n] == '/';
}

/* A directory that came or went is one line. */
static int print_difference(struct output_list *l, const struct erofs_difference *d)
{
        _cleanup_free_ char *path = escape_text(d->path);
        const char *separator = ": ";
        bool directory;

        if (!path)
                return -ENOMEM;
        if (!d->before || !d->after) {
                if (below(d->path, l->hidden))
                        return 0;
                directory = S_ISDIR((d->before ?: d->after)->mode);
                if (directory) {
                        free(l->hidden);
                        l->hidden = strdup(d->path);
                }
                printf("%s /%s%s\n", d->before ? "removed" : "added  ", path, directory ? "/" : "");
                return directory && !l->hidden ? -ENOMEM : 0;
        }
        printf("changed /%s", path);
        for (unsigned a = 0; a < EROFS_ASPECTS; a++)
                if (d->aspects & 1u << a) {
                        printf("%s%s", separator, erofs_aspect_to_string((enum erofs_aspect)a));
                        print_values(d, (enum erofs_aspect)a);
                        separator = ", ";
                }
        (void)putchar('\n');
        return 0;
}

/* --- as JSON --- */

static int inode_to_json(const struct erofs_inode *i, sd_json_variant **ret)
{
        char mode[16];

        if (!i)
                return sd_json_variant_new_null(ret);
        (void)snprintf(mode, sizeof(mode), "%06o", i->mode);
        return sd_json_buildo(
                ret, SD_JSON_BUILD_PAIR_STRING("mode", mode), SD_JSON_BUILD_PAIR_UNSIGNED("uid", i->uid),
                SD_JSON_BUILD_PAIR_UNSIGNED("gid", i->gid), SD_JSON_BUILD_PAIR_UNSIGNED("size", i->size),
                SD_JSON_BUILD_PAIR_INTEGER("mtime", i->mtime),
                SD_JSON_BUILD_PAIR_UNSIGNED("mtime_nsec", i->mtime_nsec));
}

static int difference_to_json(const struct erofs_difference *d, sd_json_variant **ret)
{
        _cleanup_json_ sd_json_variant *aspects = NULL, *before = NULL, *after = NULL;
        _cleanup_free_ char *path = escape_text(d->path);
        int r;

        if (!path)
                return -ENOMEM;
        r = sd_json_variant_new_array(&aspects, NULL, 0);
        for (unsigned a = 0; r >= 0 && a < EROFS_ASPECTS; a++)
                if (d->aspects & 1u << a)
                        r = sd_json_variant_append_arrayb(
                                &aspects, SD_JSON_BUILD_STRING(erofs_aspect_to_string((enum erofs_aspect)a)));
        if (r >= 0)
                r = inode_to_json(d->before, &before);
        if (r >= 0)
                r = inode_to_json(d->after, &after);
        if (r < 0)
                return r;
        return sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("path", path),
                              SD_JSON_BUILD_PAIR_STRING("change", !d->before  ? "added"
                                                                  : !d->after ? "removed"
                                                                              : "changed"),
                              SD_JSON_BUILD_PAIR_VARIANT("aspects", aspects),
                              SD_JSON_BUILD_PAIR_VARIANT("before", before),
                              SD_JSON_BUILD_PAIR_VARIANT("after", after));
}

static int keep_difference(struct output_list *l, const struct erofs_difference *d)
{
        if (l->n == l->room) {
                size_t room = l->room ? l->room * 2 : 64;
                sd_json_variant **bigger = reallocarray(l->items, room, sizeof(sd_json_variant *));

                if (!bigger)
                        return -ENOMEM;
                l->items = bigger;
                l->room = room;
        }
        l->items[l->n] = NULL;
        return difference_to_json(d, &l->items[l->n++]);
}

static int show_difference(void *userdata, const struct erofs_difference *d, struct error *e)
{
        int r = options.json == JSON_OFF ? print_difference(userdata, d) : keep_difference(userdata, d);

        return r < 0 ? error_errno(e, r, "/%s", d->path) : 0;
}

static int print_result(const struct output_list *l, const struct erofs_diff_result *result)
{
        _cleanup_json_ sd_json_variant *v = NULL, *differences = NULL;
        int r;

        if (options.json == JSON_OFF)
                return 0;
        r = sd_json_variant_new_array(&differences, l->items, l->n);
        if (r >= 0)
                r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_UNSIGNED("added", result->added),
                                   SD_JSON_BUILD_PAIR_UNSIGNED("removed", result->removed),
                                   SD_JSON_BUILD_PAIR_UNSIGNED("changed", result->changed),
                                   SD_JSON_BUILD_PAIR_UNSIGNED("unread", result->unread),
                                   SD_JSON_BUILD_PAIR_VARIANT("differences", differences));
        return r < 0 ? r : json_print(v, options.json);
}

/* --- */

/* An EROFS, or the root of a disk image. */
static int open_erofs(const char *path, int *ret_fd, struct erofs_image **ret, struct error *e)
{
        const struct disk_partition *roles[DISK_ROLES];
        struct disk_image d = {};
        uint64_t offset = 0;
        int r;

        *ret_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (*ret_fd < 0)
                return error_errno(e, -errno, "%s", path);
        r = disk_image_probe(*ret_fd);
        if (r < 0)
                return error_errno(e, r, "%s", path);
        if (r > 0) {
                r = disk_image_read(*ret_fd, &d, e);
                if (r >= 0)
                        r = disk_image_find_root(&d, roles, NULL, e);
                if (r >= 0)
                        offset = roles[DISK_ROOT]->offset;
        }
        if (r >= 0)
                r = erofs_image_open(*ret_fd, offset, ret, e);
        return r < 0 ? error_prefix(e, r, "%s", path) : 0;
}

/* 1 if they differ. */
static int diff(char **paths, struct error *e)
{
        _cleanup_(erofs_image_free_ptr) struct erofs_image *before = NULL, *after = NULL;
        _cleanup_close_ int before_fd = -EBADF, after_fd = -EBADF;
        _cleanup_(output_list_done) struct output_list l = {};
        struct erofs_diff_result result = {};
        int r;

        r = open_erofs(paths[0], &before_fd, &before, e);
        if (r >= 0)
                r = open_erofs(paths[1], &after_fd, &after, e);
        if (r >= 0)
                r = erofs_diff(before, after, show_difference, &l, &result, e);
        if (r >= 0)
                r = print_result(&l, &result);
        if (r < 0)
                return r;
        if (result.added + result.removed + result.changed > 0)
                return 1;
        return result.unread == 0 ? 0
                                  : error_set(e, -EOPNOTSUPP,
                                              "%s and %s: content that can be read expected, found %" PRIu64
                                              " compressed files of the same size, which may differ",
                                              paths[0], paths[1], result.unread);
}

int verb_diff(int argc, char **argv)
{
        struct error e = {};
        int r = diff(argv, &e);

        return r < 0 ? fail(r, &e) : r > 0 ? EXIT_ANSWER_IS_NO : 0;
}
