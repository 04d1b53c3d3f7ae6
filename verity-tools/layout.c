/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "layout.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/hex.h"

#define CHUNK ((size_t)1024 * 1024)

struct layout {
        char *output;
        char *path;              /* temporary */
        int lock_fd;             /* of it: while it is locked it is in use */
        mode_t mode;             /* that it gets when it is published */
        sd_json_variant **index; /* descriptors */
        size_t n_index;
};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        return remove(path);
}

static void remove_tree(const char *path)
{
        (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

struct layout *layout_free(struct layout *l)
{
        if (!l)
                return NULL;
        if (l->path)
                remove_tree(l->path);
        (void)close_fd(l->lock_fd);
        for (size_t i = 0; i < l->n_index; i++)
                sd_json_variant_unref(l->index[i]);
        free(l->index);
        free(l->path);
        free(l->output);
        free(l);
        return NULL;
}

/* The directory of a path, with a slash at its end; to be freed. */
static char *parent_of(const char *path)
{
        const char *slash = strrchr(path, '/');

        return slash ? strndup(path, (size_t)(slash - path) + 1) : strdup("./");
}

/* Whether this is the temporary name of a layout that is to be `base`. */
static bool is_temporary(const char *name, const char *base)
{
        size_t n = strlen(base);

        return strncmp(name, base, n) == 0 && name[n] == '.' &&
               strspn(name + n + 1, "0123456789abcdef") == 16 && strcmp(name + n + 17, ".tmp") == 0;
}

/* Removes one that is ours, has begun and is not in use. */
static void remove_if_stale(const char *path)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        struct stat st;

        if (fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == geteuid() && file_exists(fd, "blobs") > 0 &&
            flock(fd, LOCK_EX | LOCK_NB) == 0)
                remove_tree(path);
}

/* What killed conversions to the same output left. That it cannot be removed is no reason not to begin. */
static void remove_stale(const char *output)
{
        _cleanup_free_ char *parent = parent_of(output);
        const char *slash = strrchr(output, '/');
        _cleanup_closedir_ DIR *d = parent ? opendir(parent) : NULL;
        char path[PATH_MAX];
        struct dirent *entry;

        while (d && (entry = readdir(d)) != NULL)
                if (is_temporary(entry->d_name, slash ? slash + 1 : output) &&
                    snprintf(path, sizeof(path), "%s%s", parent, entry->d_name) < (int)sizeof(path))
                        remove_if_stale(path);
}

/* The directory is locked before it has anything in it: until then it is not taken for stale. It may lie
 * where all may look, so it is for us alone until it is published. */
static int make_locked(struct layout *l, struct error *e)
{
        _cleanup_free_ char *parent = parent_of(l->path);
        struct stat st;
        int r;

        if (!parent)
                return -ENOMEM;
        r = make_directories(parent, 0755, e);
        if (r < 0)
                return r;
        if (mkdir(l->path, 0755) < 0)
                return error_errno(e, -errno, "%s", l->path);
        l->lock_fd = open(l->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (l->lock_fd < 0 || flock(l->lock_fd, LOCK_EX | LOCK_NB) < 0 || fstat(l->lock_fd, &st) < 0 ||
            fchmod(l->lock_fd, st.st_mode & 07700) < 0)
                return error_errno(e, -errno, "%s", l->path);
        l->mode = st.st_mode & 07777;
        return 0;
}

int layout_new(const char *output, struct layout **ret, struct error *e)
{
        _cleanup_(layout_free_ptr) struct layout *l = calloc(1, sizeof(*l));
        size_t n = strlen(output);
        char blobs[PATH_MAX];
        int r;

        if (!l)
                return -ENOMEM;
        l->lock_fd = -EBADF;
        while (n > 1 && output[n - 1] == '/')
                n--;
        l->output = strndup(output, n);
        if (!l->output)
                return -ENOMEM;
        r = temporary_path(l->output, &l->path, e);
        if (r < 0)
                return r;
        if (snprintf(blobs, sizeof(blobs), "%s/blobs/sha256", l->path) >= (int)sizeof(blobs))
                return error_errno(e, -ENAMETOOLONG, "%s", output);
        remove_stale(l->output);
        r = make_locked(l, e);
        if (r >= 0)
                r = make_directories(blobs, 0755, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        return 0;
}

const char *layout_path(const struct layout *l)
{
        return l->path;
}

/* --- blobs --- */

static int path_in(const struct layout *l, char ret[static PATH_MAX], const char *name, struct error *e)
{
        if (snprintf(ret, PATH_MAX, "%s/%s", l->path, name) >= PATH_MAX)
                return error_errno(e, -ENAMETOOLONG, "%s", l->path);
        return 0;
}

static int blob_path(const struct layout *l, char ret[static PATH_MAX], const char *digest, struct error *e)
{
        char name[96];

        (void)snprintf(name, sizeof(name), "blobs/sha256/%s", digest + strlen("sha256:"));
        return path_in(l, ret, name, e);
}

int layout_put(struct layout *l, const void *data, size_t size, struct oci_blob *ret, struct error *e)
{
        struct oci_blob b = {.digest = "sha256:", .size = size};
        char path[PATH_MAX];
        uint8_t hash[32];
        int r;

        r = trust_sha256(data, size, hash);
        if (r < 0)
                return error_errno(e, r, "SHA-256");
        hex_encode(hash, 32, b.digest + 7);
        r = blob_path(l, path, b.digest, e);
        if (r >= 0)
                r = write_file_atomic(AT_FDCWD, path, data, size, 0644, e);
        if (r < 0)
                return r;
        *ret = b;
        return 0;
}

int layout_put_json(struct layout *l, sd_json_variant *v, struct oci_blob *ret, struct error *e)
{
        _cleanup_free_ char *text = NULL;
        int r = sd_json_variant_format(v, 0, &text);

        return r < 0 ? error_errno(e, r, "JSON") : layout_put(l, text, strlen(text), ret, e);
}

static int hash_file(int fd, struct oci_blob *ret, struct error *e)
{
        _cleanup_(trust_hash_free_ptr) struct trust_hash *h = NULL;
        _cleanup_free_ uint8_t *buf = malloc(CHUNK);
        struct oci_blob b = {.digest = "sha256:"};
        uint8_t hash[32];
        ssize_t n;
        int r;

        r = buf ? trust_hash_new(&h) : -ENOMEM;
        while (r >= 0 && (n = pread(fd, buf, CHUNK, (off_t)b.size)) != 0) {
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return error_errno(e, -errno, "reading a blob at %" PRIu64, b.size);
                r = trust_hash_add(h, buf, (size_t)n);
                b.size += (uint64_t)n;
        }
        if (r >= 0)
                r = trust_hash_end(h, hash);
        if (r < 0)
                return error_errno(e, r, "SHA-256");
        hex_encode(hash, 32, b.digest + 7);
        *ret = b;
        return 0;
}

static int unfinished_path(const struct layout *l, size_t number, char ret[static PATH_MAX], struct error *e)
{
        char name[64];

        (void)snprintf(name, sizeof(name), "blobs/sha256/unfinished-%zu", number);
        return path_in(l, ret, name, e);
}

int layout_begin_blob(struct layout *l, size_t number, int *ret_fd, struct error *e)
{
        char path[PATH_MAX];
        int fd, r;

        r = unfinished_path(l, number, path, e);
        if (r < 0)
                return r;
        fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (fd < 0)
                return error_errno(e, -errno, "%s", path);
        *ret_fd = fd;
        return 0;
}

int layout_end_blob(struct layout *l, size_t number, int fd, struct oci_blob *ret, struct error *e)
{
        char from[PATH_MAX], to[PATH_MAX];
        struct oci_blob b = {};
        int r;

        if ((r = hash_file(fd, &b, e)) < 0 || (r = unfinished_path(l, number, from, e)) < 0 ||
            (r = blob_path(l, to, b.digest, e)) < 0)
                return r;
        if (fsync(fd) < 0 || rename(from, to) < 0)
                return error_errno(e, -errno, "%s", to);
        *ret = b;
        return 0;
}

/* --- the index --- */

int oci_descriptor_build(const char *media_type, const struct oci_blob *b, sd_json_variant **ret)
{
        return sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("mediaType", media_type),
                              SD_JSON_BUILD_PAIR_STRING("digest", b->digest),
                              SD_JSON_BUILD_PAIR_UNSIGNED("size", b->size));
}

int layout_add(struct layout *l, sd_json_variant *descriptor)
{
        sd_json_variant **bigger = reallocarray(l->index, l->n_index + 1, sizeof(*bigger));

        if (!bigger)
                return -ENOMEM;
        l->index = bigger;
        l->index[l->n_index++] = sd_json_variant_ref(descriptor);
        return 0;
}

int layout_write_index(struct layout *l, struct error *e)
{
        _cleanup_json_ sd_json_variant *manifests = NULL, *index = NULL;
        static const char version[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
        _cleanup_free_ char *text = NULL;
        char path[PATH_MAX];
        int r;

        r = sd_json_variant_new_array(&manifests, l->index, l->n_index);
        if (r >= 0)
                r = sd_json_buildo(&index, SD_JSON_BUILD_PAIR_UNSIGNED("schemaVersion", 2),
                                   SD_JSON_BUILD_PAIR_STRING("mediaType", OCI_INDEX_TYPE),
                                   SD_JSON_BUILD_PAIR_VARIANT("manifests", manifests));
        if (r >= 0)
                r = sd_json_variant_format(index, 0, &text);
        if (r < 0)
                return error_errno(e, r, "index.json");
        if ((r = path_in(l, path, "index.json", e)) < 0 ||
            (r = write_file_atomic(AT_FDCWD, path, text, strlen(text), 0644, e)) < 0 ||
            (r = path_in(l, path, "oci-layout", e)) < 0)
                return r;
        return write_file_atomic(AT_FDCWD, path, version, strlen(version), 0644, e);
}

static int sync_parent(const char *path, struct error *e)
{
        int r = fsync_parent(AT_FDCWD, path);

        return r < 0 ? error_errno(e, r, "directory of %s", path) : 0;
}

int layout_check_output(const char *output, struct error *e)
{
        char marker[PATH_MAX];
        int r = file_exists(AT_FDCWD, output);

        if (r <= 0)
                return r < 0 ? error_errno(e, r, "%s", output) : 0;
        if (snprintf(marker, sizeof(marker), "%s/oci-layout", output) >= (int)sizeof(marker))
                return error_errno(e, -ENAMETOOLONG, "%s", output);
        if (file_exists(AT_FDCWD, marker) > 0)
                return 0;
        return error_set(e, -EEXIST, "%s: an OCI layout or nothing expected, found something else", output);
}

int layout_publish(struct layout *l, struct error *e)
{
        int r;

        if (fchmod(l->lock_fd, l->mode) < 0)
                return error_errno(e, -errno, "%s", l->path);
        if (renameat2(AT_FDCWD, l->path, AT_FDCWD, l->output, RENAME_NOREPLACE) == 0)
                return sync_parent(l->output, e);
        if (errno != EEXIST)
                return error_errno(e, -errno, "%s", l->output);
        r = layout_check_output(l->output, e);
        if (r < 0)
                return r;
        if (renameat2(AT_FDCWD, l->path, AT_FDCWD, l->output, RENAME_EXCHANGE) < 0)
                return error_errno(e, -errno, "%s", l->output);
        return sync_parent(l->output, e);
}
