/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What there is to say about an image at a glance. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-id128.h>

#include "base/escape.h"
#include "erofs-read-internal.h"
#include "erofs-write.h"
#include "internal.h"

#define PRIVILEGED_SHOWN 100

struct tally {
        uint64_t inodes, files, directories, links, special;
        uint64_t content;    /* bytes of files, as the files see them */
        uint64_t compressed; /* files */
        uint64_t attributed; /* inodes with extended attributes */
        uint64_t privileged; /* files with setuid, setgid or capabilities */
        sd_json_variant *privileged_paths;
};

/* --- the tree --- */

static int tally_attributes(struct erofs_image *image, const struct erofs_entry *entry, struct tally *t,
                            struct error *e)
{
        bool privileged = S_ISREG(entry->inode.mode) && (entry->inode.mode & (S_ISUID | S_ISGID));
        struct erofs_xattrs x = {};
        int r;

        r = erofs_inode_xattrs(image, &entry->inode, &x, e);
        if (r < 0)
                return error_prefix(e, r, "/%.300s", entry->path);
        privileged |= erofs_xattrs_have(&x, "security.capability");
        t->attributed += x.n > 0;
        erofs_xattrs_done(&x);
        if (privileged && t->privileged++ < PRIVILEGED_SHOWN) {
                _cleanup_free_ char *path = escape_text(entry->path);

                r = sd_json_variant_append_arrayb(&t->privileged_paths, SD_JSON_BUILD_STRING(path));
        }
        return r < 0 ? error_errno(e, r, "/%.300s", entry->path) : 0;
}

static int tally_entry(struct erofs_image *image, const struct erofs_entry *entry, struct tally *t,
                       struct error *e)
{
        if (entry->another_name)
                return 0;
        t->inodes++;
        if (S_ISREG(entry->inode.mode)) {
                t->files++;
                t->content += entry->inode.size;
                t->compressed += erofs_inode_is_compressed(&entry->inode);
        } else if (S_ISDIR(entry->inode.mode))
                t->directories++;
        else if (S_ISLNK(entry->inode.mode))
                t->links++;
        else
                t->special++;
        return tally_attributes(image, entry, t, e);
}

static int tally_tree(struct erofs_image *image, struct tally *t, struct error *e)
{
        _cleanup_(erofs_walk_free_ptr) struct erofs_walk *w = NULL;
        const struct erofs_entry *entry = NULL;
        int r;

        r = erofs_walk_new(image, &w, e);
        while (r >= 0) {
                r = erofs_walk_next(w, &entry, e);
                if (r <= 0)
                        break;
                r = tally_entry(image, entry, t, e);
        }
        return r;
}

/* --- the superblock --- */

/* All of the superblock that the UUID does not cover. */
static bool has_profile_super(const struct erofs_super *s)
{
        return s->blkszbits == EROFS_BLOCK_BITS && s->feature_incompat == 0 && s->extra_devices == 0 &&
               s->feature_compat == (EROFS_COMPAT_SB_CHKSUM | EROFS_COMPAT_MTIME) && s->build_time == 0 &&
               s->build_time_nsec == 0;
}

/* Our writer derives the UUID from the metadata: nobody else's image has such a one by chance. */
static int check_profile(struct erofs_image *image, bool *ret, struct error *e)
{
        _cleanup_(trust_hash_free_ptr) struct trust_hash *h = NULL;
        uint8_t buf[WINDOW_SIZE], digest[32], uuid[16];
        uint64_t at = (uint64_t)image->super.meta_blkaddr * image->block_size;
        int r;

        r = trust_hash_new(&h);
        if (r >= 0)
                r = trust_hash_add(h, EROFS_PROFILE, strlen(EROFS_PROFILE));
        while (r >= 0 && at < image->size) {
                size_t n = image->size - at < sizeof(buf) ? (size_t)(image->size - at) : sizeof(buf);

                r = erofs_image_pread(image, buf, n, at, e);
                if (r < 0)
                        return r;
                r = trust_hash_add(h, buf, n);
                at += n;
        }
        if (r >= 0)
                r = trust_hash_end(h, digest);
        if (r < 0)
                return error_errno(e, r, "SHA-256");
        uuid_from_digest(digest, uuid);
        *ret = has_profile_super(&image->super) &&
               memcmp(uuid, image->super.uuid, sizeof(image->super.uuid)) == 0;
        return 0;
}

static int describe_features(const struct erofs_super *s, sd_json_variant **ret)
{
        static const struct {
                uint32_t bit;
                const char *name;
        } incompat[] =
                {
                        {EROFS_INCOMPAT_ZERO_PADDING, "zero_padding"},
                        {EROFS_INCOMPAT_BIG_PCLUSTER, "big_pcluster"},
                        {EROFS_INCOMPAT_CHUNKED_FILE, "chunked_file"},
                        {EROFS_INCOMPAT_DEVICE_TABLE, "device_table"},
                        {EROFS_INCOMPAT_ZTAILPACKING, "ztailpacking"},
                        {EROFS_INCOMPAT_FRAGMENTS, "fragments_or_dedupe"},
                        {EROFS_INCOMPAT_XATTR_PREFIXES, "xattr_prefixes"},
                },
          compat[] = {
                  {EROFS_COMPAT_SB_CHKSUM, "sb_chksum"},
                  {EROFS_COMPAT_MTIME, "mtime"},
                  {EROFS_COMPAT_XATTR_FILTER, "xattr_filter"},
                  {EROFS_COMPAT_ISHARE_XATTRS, "ishare_xattrs"},
          };
        int r = sd_json_variant_new_array(ret, NULL, 0);

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(compat); i++)
                if (s->feature_compat & compat[i].bit)
                        r = sd_json_variant_append_arrayb(ret, SD_JSON_BUILD_STRING(compat[i].name));
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(incompat); i++)
                if (s->feature_incompat & incompat[i].bit)
                        r = sd_json_variant_append_arrayb(ret, SD_JSON_BUILD_STRING(incompat[i].name));
        return r;
}

static int build(const struct erofs_image *image, const struct tally *t, bool profile, sd_json_variant **ret)
{
        const struct erofs_super *s = &image->super;
        _cleanup_json_ sd_json_variant *features = NULL;
        sd_id128_t uuid;
        int r;

        memcpy(&uuid, s->uuid, sizeof(uuid));
        r = describe_features(s, &features);
        if (r < 0)
                return r;
        return sd_json_buildo(
                ret, SD_JSON_BUILD_PAIR_CONDITION(profile, "profile", SD_JSON_BUILD_STRING(EROFS_PROFILE)),
                SD_JSON_BUILD_PAIR("uuid", SD_JSON_BUILD_UUID(uuid)),
                SD_JSON_BUILD_PAIR_UNSIGNED("block_size", image->block_size),
                SD_JSON_BUILD_PAIR_UNSIGNED("size", image->size),
                SD_JSON_BUILD_PAIR_UNSIGNED("build_time", s->build_time),
                SD_JSON_BUILD_PAIR_UNSIGNED("feature_compat", s->feature_compat),
                SD_JSON_BUILD_PAIR_UNSIGNED("feature_incompat", s->feature_incompat),
                SD_JSON_BUILD_PAIR_VARIANT("features", features),
                SD_JSON_BUILD_PAIR_UNSIGNED("inodes", t->inodes),
                SD_JSON_BUILD_PAIR_UNSIGNED("files", t->files),
                SD_JSON_BUILD_PAIR_UNSIGNED("directories", t->directories),
                SD_JSON_BUILD_PAIR_UNSIGNED("links", t->links),
                SD_JSON_BUILD_PAIR_UNSIGNED("special", t->special),
                SD_JSON_BUILD_PAIR_UNSIGNED("content", t->content),
                SD_JSON_BUILD_PAIR_UNSIGNED("compressed", t->compressed),
                SD_JSON_BUILD_PAIR_UNSIGNED("attributed", t->attributed),
                SD_JSON_BUILD_PAIR_UNSIGNED("privileged", t->privileged),
                SD_JSON_BUILD_PAIR_CONDITION(t->privileged > 0, "privileged_paths",
                                             SD_JSON_BUILD_VARIANT(t->privileged_paths)));
}

int erofs_describe(struct erofs_image *image, sd_json_variant **ret, struct error *e)
{
        struct tally t = {};
        bool profile = false;
        int r;

        r = tally_tree(image, &t, e);
        if (r >= 0)
                r = check_profile(image, &profile, e);
        if (r >= 0) {
                r = build(image, &t, profile, ret);
                if (r < 0)
                        (void)error_errno(e, r, "JSON");
        }
        sd_json_variant_unref(t.privileged_paths);
        return r;
}
