/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Images from layouts and archives: what becomes of them, and those that lie. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/file.h"
#include "image-source.h"
#include "scratch.h"
#include "verity-tools/build.h"
#include "verity-tools/internal.h"
#include "verity-tools/layout.h"
#include "verity-tools/oci-source.h"
#include "verity-tools/registry.h"

static struct {
        struct trust_signer *layer, *manifest;
} made;

static void set_up(void)
{
        scratch_enter();
        made.layer = make_signer("layer", TRUST_LAYER);
        made.manifest = make_signer("manifest", TRUST_MANIFEST);
        make_source();
        shell("mkdir trust && cp layer.pem manifest.pem trust/");
}

static void tear_down(void)
{
        trust_signer_free(made.layer);
        trust_signer_free(made.manifest);
        scratch_leave();
}

TestSuite(oci, .init = set_up, .fini = tear_down, .timeout = 60);

static struct build_oci_options options(void)
{
        return (struct build_oci_options){.layer_signer = made.layer, .manifest_signer = made.manifest};
}

static int convert_with(const struct build_oci_options *o, const char *source, struct error *e)
{
        _cleanup_(build_oci_result_done) struct build_oci_result result = {};

        return build_oci(source, "store", o, &result, e);
}

static int convert(const char *source, struct error *e)
{
        struct build_oci_options o = options();

        return convert_with(&o, source, e);
}

static void expect_nothing_left(void)
{
        shell("test -z \"$(ls | grep -E 'tmp$|^store')\"");
}

/* The image in the store, checked. */
static struct store_image *find(const char *reference)
{
        struct trust_store *trust = NULL;
        struct store_image *image = NULL;
        struct store *store = NULL;
        struct error e = {};

        cr_assert_eq(trust_store_open(AT_FDCWD, "trust", &trust, &e), 0);
        cr_assert_eq(store_open(AT_FDCWD, "store", &store, &e), 0, "%s", e.message);
        cr_assert_eq(store_find_image(store, reference, trust, &image, &e), 0, "%s", e.message);
        trust_store_free(trust);
        store_free(store);
        return image;
}

/* --- several layers --- */

/* An image of these tars, which lie in the current directory, in the layout "source". `more` of its
 * configuration begins with a comma. */
static void put_image(const char *reference, const char *more, const char *const tars[], size_t n)
{
        char text[65536], layers[32768], ids[16384], *at = layers, *id = ids;
        struct named_blob config, manifest;

        for (size_t i = 0; i < n; i++) {
                size_t size = 0;
                char *data = slurp(tars[i], &size);
                struct named_blob layer = put_blob("source", data, size);

                free(data);
                at += sprintf(at,
                              "%s{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\",\"digest\":\"%s\","
                              "\"size\":%zu}",
                              i ? "," : "", layer.digest, layer.size);
                id += sprintf(id, "%s\"%s\"", i ? "," : "", layer.digest);
        }
        (void)snprintf(text, sizeof(text),
                       "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"Labels\":{\"a\":\"b\"}},"
                       "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[%s]}%s}",
                       ids, more);
        config = put_blob("source", text, strlen(text));
        (void)snprintf(text, sizeof(text),
                       "{\"schemaVersion\":2,\"mediaType\":\"" OCI_MANIFEST_TYPE
                       "\",\"config\":{\"mediaType\":\"" OCI_CONFIG_TYPE
                       "\",\"digest\":\"%s\",\"size\":%zu},\"layers\":[%s]}",
                       config.digest, config.size, layers);
        manifest = put_blob("source", text, strlen(text));
        (void)snprintf(text, sizeof(text),
                       "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"" OCI_MANIFEST_TYPE
                       "\",\"digest\":\"%s\",\"size\":%zu,\"annotations\":{\"" OCI_REF_NAME "\":\"%s\"}}]}",
                       manifest.digest, manifest.size, reference);
        put_text("source/index.json", text);
}

/* Three layers: the second hides a file and empties a directory, the third puts a file where a directory was.
 */
static void put_whiteouts(void)
{
        static const char *const tars[] = {"1.tar", "2.tar", "3.tar"};

        shell("mkdir -p 1/d/e 1/o/p 1/f 2/d 2/o 3 && echo 1 >1/d/gone && echo 1 >1/d/e/kept && echo 1 "
              ">1/o/p/gone && "
              "echo 1 >1/f/gone && ln 1/d/e/kept 1/d/link && ln -s e/kept 1/d/symbolic && "
              "touch 1/.wh.x 1/d/.wh..wh..opq 2/d/.wh.gone 2/o/.wh..wh..opq && echo 2 >2/o/new && echo 3 "
              ">3/f && "
              "for i in 1 2 3; do tar --owner=0 --group=0 -C $i -cf $i.tar .; done");
        put_image("sample:1",
                  ",\"history\":[{\"created_by\":\"a\"},{\"created_by\":\"b\"},{\"created_by\":"
                  "\"c\"}]",
                  tars, ELEMENTSOF(tars));
        shell("mkdir -p merged/d/e merged/o && echo 1 >merged/d/e/kept && ln merged/d/e/kept merged/d/link "
              "&& "
              "ln -s e/kept merged/d/symbolic && echo 2 >merged/o/new && echo 3 >merged/f");
}

Test(oci, squashed_layers_are_what_overlayfs_would_show)
{
        struct build_oci_options o = options();
        struct store_image *image;
        struct error e = {};

        put_whiteouts();
        o.squash = true;
        cr_assert_eq(convert_with(&o, "source", &e), 0, "%s", e.message);
        image = find("sample:1");
        cr_assert_eq(image->n_layers, 1);
        shell("fsck.erofs --extract=found store/%s >/dev/null && diff -r --no-dereference merged found && "
              "test $(stat -c %%h found/d/link) = 2 && ! find found -name '.wh*' -o -type c | grep .",
              image->layers[0].path);
        store_image_free(image);
}

Test(oci, configuration_stays_and_says_what_the_layers_are)
{
        struct build_oci_options o = options();
        _cleanup_free_ char *text = NULL;
        struct store_image *image;
        struct error e = {};

        put_whiteouts();
        cr_assert_eq(convert("source", &e), 0, "%s", e.message);
        image = find("sample:1");
        cr_assert_eq(image->n_layers, 3);
        cr_assert_geq(sd_json_variant_format(image->config, 0, &text), 0);
        cr_expect_not_null(strstr(text, "\"Labels\":{\"a\":\"b\"}"), "%s", text);
        cr_expect_not_null(strstr(text, "\"os.features\":[\"erofs\"]"), "%s", text);
        cr_expect_not_null(strstr(text, image->layers[2].digest), "%s", text);
        cr_expect_null(strstr(text, "empty_layer"), "%s", text);
        store_image_free(image);
        text = (free(text), NULL);

        o.squash = true;
        cr_assert_eq(convert_with(&o, "source", &e), 0, "%s", e.message);
        image = find("sample:1");
        cr_assert_geq(sd_json_variant_format(image->config, 0, &text), 0);
        cr_expect_not_null(
                strstr(text, "{\"created_by\":\"c\",\"empty_layer\":true},{\"created_by\":\"verity image "
                             "--squash\"}]"),
                "%s", text);
        store_image_free(image);
}

/* EROFS image specification, 3.6 */
Test(oci, lowest_layer_takes_nothing_away)
{
        struct store_image *image;
        struct error e = {};

        put_whiteouts();
        cr_assert_eq(convert("source", &e), 0, "%s", e.message);
        image = find("sample:1");
        shell("fsck.erofs --extract=lowest --xattrs store/%s >/dev/null && rm 1/.wh.x 1/d/.wh* && diff -r "
              "--no-dereference 1 lowest && "
              "dump.erofs --path=/d store/%s | grep -q 'Xattr size: 0' && "
              "fsck.erofs --extract=second store/%s >/dev/null && test -c second/d/gone",
              image->layers[0].path, image->layers[0].path, image->layers[1].path);
        store_image_free(image);
}

Test(oci, layers_that_are_there_several_times_are_built_once)
{
        static const char *const tars[] = {"1.tar", "2.tar", "3.tar", "2.tar", "3.tar"};
        struct build_oci_options o = options();
        struct build_oci_result result = {};
        struct error e = {};

        put_whiteouts();
        put_image("sample:1", "", tars, ELEMENTSOF(tars));
        cr_assert_eq(build_oci("source", "store", &o, &result, &e), 0, "%s", e.message);
        cr_expect_eq(result.n_layers, 3);
        cr_expect_eq(sd_json_variant_elements(
                             sd_json_variant_by_key(sd_json_variant_by_index(result.images, 0), "layers")),
                     5);
        build_oci_result_done(&result);
        store_image_free(find("sample:1"));
}

Test(oci, number_of_threads_changes_nothing)
{
        _cleanup_free_ char *first = NULL;
        struct error e = {};

        put_whiteouts();
        for (unsigned threads = 1; threads <= 3; threads++) {
                struct build_oci_options o = options();
                _cleanup_free_ char *layers = NULL;
                struct store_image *image;

                o.threads = threads;
                cr_assert_eq(convert_with(&o, "source", &e), 0, "%s", e.message);
                image = find("sample:1");
                if (!first)
                        first = strdup(image->digest);
                cr_expect_str_eq(image->digest, first);
                store_image_free(image);
        }
}

/* --- keys that lie elsewhere --- */

Test(oci, digests_are_signed_elsewhere)
{
        struct build_oci_options o = options();
        struct error e = {};

        o.digest_out = "digests";
        cr_assert_eq(convert_with(&o, "source", &e), 0, "%s", e.message);
        shell("test $(ls digests | wc -l) = 3 && test ! -e store && for f in digests/*; do k=${f#*/}; "
              "openssl pkeyutl -sign -inkey ${k%%%%-*}.key -in $f -out ${f%%digest}sig; done");
        o.digest_out = NULL;
        o.attach = "digests";
        cr_assert_eq(convert_with(&o, "source", &e), 0, "%s", e.message);
        store_image_free(find("sample:1"));

        shell("mv store before && for f in digests/layer*.sig; do cp digests/manifest*.sig $f; done");
        cr_expect_eq(convert_with(&o, "source", &e), -EKEYREJECTED, "%s", e.message);
        shell("rm digests/manifest*.sig digests/layer*.sig");
        cr_expect_eq(convert_with(&o, "source", &e), -ENOENT, "%s", e.message);
        expect_nothing_left();
}

/* Nobody signs the names in an index: what they look like must not be mistaken for an answer. */
Test(oci, names_are_printed_in_one_line)
{
        put_whiteouts();
        cr_assert_eq(convert("source", NULL), 0);
        shell("sed -i 's|sample:1|a: sha256:0\\\\n\\\\u001b[1mb|' store/index.json && "
              "%s/verity verify store --trust=trust >printed && test $(wc -l <printed) = 1 && "
              "grep -qF 'a: sha256:0\\x0a\\x1b[1mb: sha256:' printed && "
              "%s/verity verify store --trust=trust --json=short >json && "
              "grep -qF \"\\\"digest\\\":\\\"$(sed 's/.* //' printed)\\\"\" json",
              BIN_DIR, BIN_DIR);
}

/* --- unfinished layouts --- */

/* The image of a private registry in /var/tmp is nobody else's. */
Test(oci, a_layout_is_ours_alone_until_it_is_published)
{
        struct layout *l = NULL;
        struct stat st;
        struct error e = {};

        (void)umask(022);
        cr_assert_eq(layout_new("out", &l, &e), 0, "%s", e.message);
        cr_assert_eq(stat(layout_path(l), &st), 0);
        cr_expect_eq(st.st_mode & 0777, 0700, "%o", st.st_mode);
        cr_assert_eq(layout_write_index(l, &e), 0, "%s", e.message);
        cr_assert_eq(layout_publish(l, &e), 0, "%s", e.message);
        layout_free(l);
        cr_assert_eq(stat("out", &st), 0);
        cr_expect_eq(st.st_mode & 0777, 0755, "%o", st.st_mode);
}

/* --- ends at any moment --- */

#define CONVERT                                                                                              \
        BIN_DIR "/verity image source -o store --key=layer.key --certificate=layer.pem "                     \
                "--manifest-key=manifest.key --manifest-certificate=manifest.pem >/dev/null"

Test(oci, a_killed_conversion_leaves_a_whole_store)
{
        put_whiteouts();
        shell(CONVERT);
        for (int ms = 2; ms <= 50; ms += 8)
                shell("timeout -s KILL 0.%03d " CONVERT " || test $? = 137; "
                      "%s/verity verify store --trust=trust >/dev/null",
                      ms, BIN_DIR);
        shell("mkdir -p store.0123456789abcdef.tmp/blobs store.0123456789abcdee.tmp/blobs "
              "store.xyz.tmp/blobs && "
              "flock store.0123456789abcdee.tmp " CONVERT " && "
              "test \"$(ls -d *.tmp | tr '\\n' ' ')\" = 'store.0123456789abcdee.tmp store.xyz.tmp '");
}

Test(oci, a_write_that_fails_leaves_the_store_that_was_there)
{
        put_whiteouts();
        shell(CONVERT
              " && find store -type f | sort | xargs sha256sum >before && "
              "! (trap '' XFSZ; ulimit -f 8; " CONVERT ") 2>message && grep -q 'File too large' message && "
              "find store -type f | sort | xargs sha256sum | cmp - before && ! ls -d *.tmp 2>/dev/null");
}

/* --- platforms --- */

/* "many": an index whose entry for amd64 is sample:1, and whose others name what is not there. */
static void put_platforms(void)
{
        shell("cd source && m=$(sed 's/.*\\[\\({\"mediaType.*\\),\"annotations.*/\\1/' index.json) && "
              "o=$(echo \"$m\" | sed 's/sha256:......../sha256:00000000/') && "
              "printf '{\"schemaVersion\":2,\"mediaType\":\"" OCI_INDEX_TYPE "\",\"manifests\":["
              "%%s,\"platform\":{\"os\":\"linux\",\"architecture\":\"arm64\"}},"
              "%%s,\"platform\":{\"os\":\"unknown\",\"architecture\":\"unknown\"}},"
              "%%s,\"platform\":{\"os\":\"linux\",\"architecture\":\"amd64\"}}]}' \"$o\" \"$o\" \"$m\" >i && "
              "d=$(sha256sum i | cut -c1-64) && s=$(stat -c %%s i) && mv i blobs/sha256/$d && "
              "printf '{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"" OCI_INDEX_TYPE
              "\",\"digest\":\"sha256:%%s\",\"size\":%%s,\"annotations\":{\"" OCI_REF_NAME
              "\":\"many\"}}]}' $d $s >index.json");
}

Test(oci, the_platform_asked_for_is_taken)
{
        struct build_oci_options o = options();
        struct error e = {};

        put_platforms();
        o.platform = "linux/amd64";
        cr_assert_eq(convert_with(&o, "source:many", &e), 0, "%s", e.message);
        store_image_free(find("many"));
        o.platform = "linux/arm64";
        cr_expect_eq(convert_with(&o, "source:many", &e), -ENOENT, "%s", e.message);
        o.platform = "linux/s390x";
        cr_expect_eq(convert_with(&o, "source:many", &e), -ENOENT, "%s", e.message);
        cr_expect_not_null(strstr(e.message, "linux/s390x"), "%s", e.message);
        o.platform = "linux";
        cr_expect_eq(convert_with(&o, "source:many", &e), -EINVAL, "%s", e.message);
}

/* --- docker-archive --- */

/* As `docker save` wrote it before version 25: a layer that is there twice is a link. */
static void make_old_archive(void)
{
        put_whiteouts();
        shell("mkdir -p save/aa save/bb save/cc && cp 1.tar save/aa/layer.tar && cp 2.tar save/bb/layer.tar "
              "&& "
              "ln -s ../aa/layer.tar save/cc/layer.tar && "
              "d() { sha256sum $1.tar | cut -c1-64; } && "
              "printf "
              "'{\"os\":\"linux\",\"architecture\":\"amd64\",\"rootfs\":{\"diff_ids\":[\"sha256:%%s\","
              "\"sha256:%%s\","
              "\"sha256:%%s\"]}}' $(d 1) $(d 2) $(d 1) >save/c.json && "
              "echo '[{\"Config\":\"c.json\",\"RepoTags\":[\"app:1\",\"app:2\"],\"Layers\":[\"aa/layer.tar\","
              "\"bb/layer.tar\",\"cc/layer.tar\"]}]' >save/manifest.json && tar -C save -cf old.tar .");
}

Test(oci, docker_archives_of_both_kinds)
{
        struct store_image *image;
        struct error e = {};

        make_old_archive();
        cr_assert_eq(convert("old.tar", &e), 0, "%s", e.message);
        image = find("app:2");
        cr_expect_eq(image->n_layers, 3);
        store_image_free(image);
        cr_expect_eq(convert("docker-archive:old.tar:app:1", &e), 0, "%s", e.message);
        store_image_free(find("app:1"));
        cr_expect_eq(convert("docker-archive:old.tar:app:3", &e), -ENOENT, "%s", e.message);

        shell("rm -rf store && skopeo --insecure-policy copy -q oci:source:sample:1 "
              "docker-archive:new.tar:new:1 && "
              "gzip -k new.tar");
        cr_assert_eq(convert("new.tar.gz", &e), 0, "%s", e.message);
        shell("%s/verity verify store --trust=trust | grep -q new:1", BIN_DIR);
}

struct damage {
        char what[48];
        char line[200]; /* run before the archive or layout is read */
        int error;
};

ParameterizedTestParameters(oci, bad_archives)
{
        static struct damage cases[] = {
                {"no manifest", "rm save/manifest.json", -EBADMSG},
                {"manifest is no JSON", "echo x >save/manifest.json", -EBADMSG},
                {"manifest is an object", "echo '{}' >save/manifest.json", -EBADMSG},
                {"manifest is huge", "truncate -s 5M save/manifest.json", -EBADMSG},
                {"manifest is a link", "mv save/manifest.json save/m && ln -s m save/manifest.json",
                 -EBADMSG},
                {"no configuration", "rm save/c.json", -EBADMSG},
                {"a layer with another digest", "cp 3.tar save/bb/layer.tar", -EBADMSG},
                {"fewer digests", "sed -i 's/diff_ids\":\\[/diff_ids\":[],\"x\":[/' save/c.json", -EBADMSG},
                {"no digests", "echo '{\"os\":\"linux\"}' >save/c.json", -EBADMSG},
                {"no layer", "rm save/bb/layer.tar", -EBADMSG},
                {"a layer is a directory", "rm save/bb/layer.tar && mkdir save/bb/layer.tar", -EBADMSG},
                {"a link outside", "ln -sf ../../../etc/passwd save/cc/layer.tar", -EBADMSG},
                {"an absolute link", "ln -sf /etc/passwd save/cc/layer.tar", -EBADMSG},
                {"a link to a link", "ln -sf ../cc/layer.tar save/bb/layer.tar", -EBADMSG},
                {"a layer's name leads outside",
                 "sed -i 's,bb/layer,../../../etc/passwd,' save/manifest.json", -EBADMSG},
                {"a layer is no tar", "head -c 9999 /dev/urandom >save/bb/layer.tar", -EBADMSG},
        };

        return cr_make_param_array(struct damage, cases, ELEMENTSOF(cases));
}

ParameterizedTest(struct damage *d, oci, bad_archives)
{
        struct error e = {};

        make_old_archive();
        shell("%s", d->line);
        shell("tar -C save -cf old.tar .");
        cr_expect_eq(convert("old.tar", &e), d->error, "%s: %s", d->what, e.message);
        cr_expect_not_null(strstr(e.message, "old.tar"), "%s: %s", d->what, e.message);
        expect_nothing_left();
}

/* As skopeo writes them, and as tar does. */
Test(oci, archives_of_layouts)
{
        struct error e = {};

        shell("skopeo --insecure-policy copy -q oci:source:sample:1 oci-archive:skopeo.tar:sample:1 && "
              "tar -C source -czf plain.tar.gz . && "
              "cp skopeo.tar blobs.tar && tar --delete -f blobs.tar index.json");
        cr_expect_eq(convert("oci-archive:skopeo.tar:sample:1", &e), 0, "%s", e.message);
        shell("grep -o 'sha256:[0-9a-f]*' store/index.json | head -1 >first");
        cr_expect_eq(convert("skopeo.tar", &e), 0, "%s", e.message);
        shell("grep -q $(cat first) store/index.json");
        cr_expect_eq(convert("plain.tar.gz", &e), 0, "%s", e.message);
        shell("grep -q $(cat first) store/index.json && %s/verity verify store --trust=trust && rm -r store",
              BIN_DIR);
        cr_expect_eq(convert("oci-archive:plain.tar.gz:other:1", &e), -ENOENT, "%s", e.message);
        cr_expect_eq(convert("docker-archive:skopeo.tar", &e), -EBADMSG, "%s", e.message);
        cr_expect_not_null(strstr(e.message, "manifest.json expected"), "%s", e.message);
        cr_expect_eq(convert("blobs.tar", &e), -EBADMSG, "%s", e.message);
        cr_expect_not_null(strstr(e.message, "manifest.json or index.json expected"), "%s", e.message);
        expect_nothing_left();
}

ParameterizedTestParameters(oci, bad_archives_of_layouts)
{
        static struct damage cases[] = {
                {"index is no JSON", "echo x >index.json", -EBADMSG},
                {"index has no list", "echo '{}' >index.json", -EBADMSG},
                {"index is huge", "truncate -s 5M index.json", -EBADMSG},
                {"a blob of another digest", "for f in blobs/sha256/*; do echo >>$f; done", -EBADMSG},
                {"a blob is a link", "cd blobs/sha256 && for f in *; do ln -sf /etc/passwd $f; done",
                 -EBADMSG},
                {"a blob is a directory", "mkdir blobs/sha256/x", -EBADMSG},
                {"a blob without a digest", "echo >blobs/sha256/x", -EBADMSG},
                {"no blobs", "rm blobs/sha256/*", -ENOENT},
        };

        return cr_make_param_array(struct damage, cases, ELEMENTSOF(cases));
}

ParameterizedTest(struct damage *d, oci, bad_archives_of_layouts)
{
        struct error e = {};

        shell("cd source && %s", d->line);
        shell("tar -C source -cf bad.tar .");
        cr_expect_eq(convert("bad.tar", &e), d->error, "%s: %s", d->what, e.message);
        cr_expect_neq(e.message[0], '\0', "%s", d->what);
        expect_nothing_left();
}

/* An archive may ask for as little memory as a layer. */
Test(oci, archives_with_windows_that_are_too_large)
{
        struct error e = {};

        make_old_archive();
        shell("truncate -s 70M save/hole && tar -C save -cf - . | zstd -q --long=27 >large.tar");
        cr_expect_eq(convert("large.tar", &e), -E2BIG, "%s", e.message);
        cr_expect_not_null(strstr(e.message, "large.tar: "), "%s", e.message);
}

Test(oci, archives_that_are_damaged)
{
        struct error e = {};

        make_old_archive();
        shell("head -c 12000 old.tar >short.tar && tar -C save -cf twice.tar . && "
              "tar -C save -rf twice.tar ./aa/layer.tar && "
              "truncate -s 100G save/aa/layer.tar && echo >>save/aa/layer.tar && tar -C save -S -cf "
              "sparse.tar .");
        cr_expect_eq(convert("short.tar", &e), -EBADMSG, "%s", e.message);
        cr_expect_eq(convert("twice.tar", &e), -EBADMSG, "%s", e.message);
        cr_expect_not_null(strstr(e.message, "aa/layer.tar: each file once"), "%s", e.message);
        cr_expect_eq(convert("sparse.tar", &e), -EBADMSG, "%s", e.message);
        cr_expect_not_null(strstr(e.message, "aa/layer.tar: a file without holes"), "%s", e.message);
        expect_nothing_left();
}

/* --- layouts that lie --- */

ParameterizedTestParameters(oci, bad_layouts)
{
        static struct damage cases[] = {
                {"no index", "rm index.json", -ENOENT},
                {"index is a link", "mv index.json ../i && ln -s ../i index.json", -ELOOP},
                {"index is no JSON", "echo x >index.json", -EBADMSG},
                {"index without a list", "echo '{\"manifests\":1}' >index.json", -EBADMSG},
                {"no images", "echo '{\"manifests\":[]}' >index.json", -ENOENT},
                {"a layer is longer", "for f in $(find blobs -size +8); do echo >>$f; done", -EBADMSG},
                {"a layer is shorter", "for f in $(find blobs -size +8); do truncate -s -1 $f; done",
                 -EBADMSG},
                {"a layer has another byte",
                 "for f in $(find blobs -size +8); do printf x | dd of=$f bs=1 seek=520 conv=notrunc; done "
                 "2>&1",
                 -EBADMSG},
                {"a layer is a link",
                 "f=$(find blobs -size +8 | head -1) && mv $f ../b && ln -s ../../../b $f", -ELOOP},
                {"a path for a digest",
                 "sed -i 's/sha256:[0-9a-f]\\{64\\}/sha256:..\\/..\\/etc\\/passwd/' index.json", -EBADMSG},
                {"a manifest of another type", "sed -i 's/image.manifest/image.config/' index.json",
                 -EBADMSG},
        };

        return cr_make_param_array(struct damage, cases, ELEMENTSOF(cases));
}

ParameterizedTest(struct damage *d, oci, bad_layouts)
{
        struct error e = {};

        shell("cd source && %s", d->line);
        cr_expect_eq(convert("source", &e), d->error, "%s: %s", d->what, e.message);
        cr_expect_neq(e.message[0], '\0');
        expect_nothing_left();
}

struct lie {
        char from[64], to[96];
        int error;
        char message[48];
};

/* All digests hold, and the manifest says what cannot be. */
ParameterizedTestParameters(oci, lying_manifests)
{
        static struct lie cases[] = {
                {"layer.v1.tar+gzip", "layer.nondistributable.v1.tar+gzip", -EBADMSG,
                 "media type of a tar layer"},
                {"layer.v1.tar+gzip", "layer.v1.tar+zip", -EBADMSG, "media type of a tar layer"},
                {"oci.image.config", "cncf.helm.config", -EBADMSG, "the configuration of an image"},
                {"\\(layers.*\"size\":\\)", "\\11", -EBADMSG, "bytes expected, found"},
                {"\\(layers.*\"size\":\\)", "\\1-1", -EBADMSG, "size"},
                {"\\(layers.*\"size\":\\)", "\\1900000000000", -E2BIG, "bytes expected, found"},
                {"\"layers\":\\[", "\"layers\":[],\"x\":[", -EBADMSG, "1 to 128 layers expected, found 0"},
                {"\"layers\":\\[", "\"layers\":7,\"x\":[", -EBADMSG, "layers"},
                {"sha256:", "sha512:", -EBADMSG, "digest \"sha256:\""},
                {"sha256:[0-9a-f]*", "sha256:../../../etc/passwd", -EBADMSG, "digest \"sha256:\""},
        };

        return cr_make_param_array(struct lie, cases, ELEMENTSOF(cases));
}

ParameterizedTest(struct lie *l, oci, lying_manifests)
{
        struct error e = {};

        shell("cd source && m=$(grep -o 'sha256:[0-9a-f]*' index.json | cut -c8-) && "
              "sed 's|%s|%s|' blobs/sha256/$m >new && ! cmp -s new blobs/sha256/$m && "
              "d=$(sha256sum new | cut -c1-64) && s=$(stat -c %%s new) && mv new blobs/sha256/$d && "
              "sed -i \"s/sha256:$m\\\",\\\"size\\\":[0-9]*/sha256:$d\\\",\\\"size\\\":$s/\" index.json",
              l->from, l->to);
        cr_expect_eq(convert("source", &e), l->error, "%s: %s", l->to, e.message);
        cr_expect_not_null(strstr(e.message, l->message), "%s: %s", l->to, e.message);
        expect_nothing_left();
}

/* The digest of a blob holds that is not what it should be. */
Test(oci, configurations_that_are_none)
{
        static const char *const texts[] = {"x", "", "[]", "7", "{\"a\":"};

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                struct named_blob config = put_blob("source", texts[i], strlen(texts[i]));
                struct error e = {};

                shell("cd source && m=$(grep -o 'sha256:[0-9a-f]*' index.json | cut -c8-) && sed "
                      "'s|\"config\":{\\([^}]*\\)\"digest\":\"[^\"]*\",\"size\":[0-9]*|"
                      "\"config\":{\\1\"digest\":\"%s\",\"size\":%zu|' blobs/sha256/$m >new && "
                      "grep -q %s new && d=$(sha256sum new | cut -c1-64) && s=$(stat -c %%s new) && "
                      "mv new blobs/sha256/$d && "
                      "sed -i \"s/sha256:$m\\\",\\\"size\\\":[0-9]*/sha256:$d\\\",\\\"size\\\":$s/\" "
                      "index.json",
                      config.digest, config.size, config.digest);
                cr_expect_eq(convert("source", &e), -EBADMSG, "%s: %s", texts[i], e.message);
                cr_expect_not_null(strstr(e.message, config.digest + 7), "%s", e.message);
                expect_nothing_left();
        }
}

Test(oci, too_many_layers)
{
        const char *tars[STORE_LAYERS_MAX + 1];
        struct error e = {};

        put_whiteouts();
        for (size_t i = 0; i < ELEMENTSOF(tars); i++)
                tars[i] = "1.tar";
        put_image("sample:1", "", tars, ELEMENTSOF(tars));
        cr_expect_eq(convert("source", &e), -EBADMSG);
        cr_expect_not_null(strstr(e.message, "1 to 128 layers expected, found 129"), "%s", e.message);
        put_image("sample:1", "", tars, ELEMENTSOF(tars) - 1);
        cr_expect_eq(convert("source", &e), 0, "%s", e.message);
        put_text("store2/file", "x");
        cr_expect_eq(build_oci("source", "store2", &(struct build_oci_options){},
                               &(struct build_oci_result){}, &e),
                     -EEXIST, "what is no layout is not replaced");
}

Test(oci, a_failure_leaves_the_store_that_was_there)
{
        _cleanup_free_ char *before = NULL, *after = NULL;
        struct error e = {};

        cr_assert_eq(convert("source", &e), 0, "%s", e.message);
        before = shell_output("find store -type f | sort | xargs sha256sum");
        shell("for f in $(find source/blobs -size +8); do echo >>$f; done");
        cr_expect_eq(convert("source", &e), -EBADMSG);
        after = shell_output("find store -type f | sort | xargs sha256sum; ls -d *.tmp 2>/dev/null || true");
        cr_expect_str_eq(before, after);
}

/* --- names and credentials --- */

struct reference {
        char text[160];
        char host[32], repository[32], tag[16]; /* "" host: it is refused */
};

ParameterizedTestParameters(names, references)
{
        static struct reference cases[] = {
                {"alpine", "docker.io", "library/alpine", "latest"},
                {"user/app:2", "docker.io", "user/app", "2"},
                {"localhost/app", "localhost", "app", "latest"},
                {"example.org:5000/a/b-c/d_e:v1.0", "example.org:5000", "a/b-c/d_e", "v1.0"},
                {"[::1]:5000/app", "[::1]:5000", "app", "latest"},
                {"h:1/a@sha256:0123456789012345678901234567890123456789012345678901234567890123", "h:1", "a",
                 ""},
                {"h:1/a@sha256:01234", "", "", ""},
                {"h:1/a@sha512:0123456789012345678901234567890123456789012345678901234567890123", "", "", ""},
                {"", "", "", ""},
                {"h:1/", "", "", ""},
                {"h:1/A", "", "", ""},
                {"h:1/../a", "", "", ""},
                {"h:1/a//b", "", "", ""},
                {"h:1/a?x=1", "", "", ""},
                {"h:1/a#x", "", "", ""},
                {"u:p@h:1/a", "", "", ""},
                {"h:123456/a", "", "", ""},
                {"h:1/a:-x", "", "", ""},
                {"h:1/a:x y", "", "", ""},
        };

        return cr_make_param_array(struct reference, cases, ELEMENTSOF(cases));
}

ParameterizedTest(struct reference *c, names, references)
{
        struct registry_reference r = {};
        struct error e = {};
        int expected = c->host[0] ? 0 : -EINVAL;

        cr_assert_eq(registry_reference_parse(c->text, &r, &e), expected, "%s", c->text);
        if (expected < 0)
                return;
        cr_expect_str_eq(r.host, c->host);
        cr_expect_str_eq(r.repository, c->repository);
        cr_expect_str_eq(r.tag, c->tag);
}

Test(names, the_next_page)
{
        static const char *const links[][2] = {
                {"<a>; rel=\"next\"", "a"},
                {"</v2/x?last=b&n=1>;rel=next", "/v2/x?last=b&n=1"},
                {"<a>; rel=prev, <b>; REL=\"first Next\"", "b"},
                {"<a>; title=\"x; rel=next, \\\"\"; rel=prev,<b,;c> ; n=1 ; rel=next ; m", "b,;c"},
                {"<>; rel=next", ""},
                {"", NULL},
                {"a; rel=next", NULL},
                {"<a; rel=next", NULL},
                {"<a>", NULL},
                {"<a>; rel=\"nextnext\"", NULL},
                {"<a>; norel=next", NULL},
                {"<a>; rel=", NULL},
                {"<a>; title=\"x; rel=next", NULL},
        };

        for (size_t i = 0; i < ELEMENTSOF(links); i++) {
                char found[REGISTRY_LINK_MAX] = "-";

                cr_expect_eq(registry_link_next(links[i][0], found), links[i][1] != NULL, "%s", links[i][0]);
                cr_expect_str_eq(found, links[i][1] ?: "-", "%s", links[i][0]);
        }
}

Test(names, challenges)
{
        struct registry_challenge c = {};

        cr_assert_eq(registry_challenge_parse(
                             "Bearer realm=\"https://a/t\",service=\"s\",scope=\"x:y:pull,push\"", &c, NULL),
                     0);
        cr_expect(c.bearer);
        cr_expect_str_eq(c.realm, "https://a/t");
        cr_expect_str_eq(c.service, "s");
        cr_expect_str_eq(c.scope, "x:y:pull,push");
        cr_assert_eq(registry_challenge_parse("Negotiate, basic realm=\"a \\\"b\\\"\"", &c, NULL), 0);
        cr_expect_not(c.bearer);
        cr_expect_str_eq(c.realm, "a \"b\"");
        cr_expect_eq(registry_challenge_parse("", &c, NULL), -EBADMSG);
        cr_expect_eq(registry_challenge_parse("Digest realm=x", &c, NULL), -EBADMSG);
        cr_expect_eq(registry_challenge_parse("Bearer service=\"s\"", &c, NULL), -EBADMSG);
        cr_expect_eq(registry_challenge_parse("Bearer realm=\"unended", &c, NULL), -EBADMSG);
}

static int credentials(const char *text, const char *host, const char *repository, char **ret,
                       struct error *e)
{
        return registry_credentials_parse(text, "auth.json", host, repository, ret, e);
}

Test(names, credentials_are_those_of_the_nearest_name)
{
        static const char text[] =
                "{\"auths\":{\"h:1\":{\"auth\":\"YTpi\"},\"h:1/x/y\":{\"auth\":\"YzpkOmU=\"},"
                "\"https://index.docker.io/v1/\":{\"auth\":\"aHViOng=\"}}}";
        _cleanup_free_ char *host = NULL, *near = NULL, *none = NULL, *hub = NULL;

        cr_assert_eq(credentials(text, "h:1", "x", &host, NULL), 0);
        cr_expect_str_eq(host, "a:b");
        cr_assert_eq(credentials(text, "h:1", "x/y/z", &near, NULL), 0);
        cr_expect_str_eq(near, "c:d:e");
        cr_assert_eq(credentials(text, "h", "x", &none, NULL), 0);
        cr_expect_null(none);
        cr_assert_eq(credentials(text, "docker.io", "library/a", &hub, NULL), 0);
        cr_expect_str_eq(hub, "hub:x");
}

Test(names, credentials_that_cannot_be_used)
{
        struct error e = {};
        char *c = NULL;

        cr_expect_eq(credentials("{\"credsStore\":\"pass\"}", "h", "x", &c, &e), -EOPNOTSUPP);
        cr_expect_not_null(strstr(e.message, "docker-credential-pass"), "%s", e.message);
        cr_expect_eq(credentials("{\"credHelpers\":{\"h\":\"ecr\"}}", "h", "x", &c, &e), -EOPNOTSUPP);
        cr_expect_eq(credentials("{\"credHelpers\":{\"i\":\"ecr\"}}", "h", "x", &c, &e), 0);
        cr_expect_eq(credentials("{\"auths\":{\"h\":{\"auth\":\"!\"}}}", "h", "x", &c, &e), -EINVAL);
        cr_expect_eq(credentials("{\"auths\":{\"h\":{\"auth\":\"YWJj\"}}}", "h", "x", &c, &e), -EINVAL);
        cr_expect_eq(credentials("{\"auths\":[]}", "h", "x", &c, &e), -EINVAL);
        cr_expect_eq(credentials("[]", "h", "x", &c, &e), -EINVAL);
        cr_expect_null(c);
}

/* --- memory --- */

#ifdef __SANITIZE_ADDRESS__
#define MEMORY_FACTOR 8 /* of the sanitizer */
#else
#define MEMORY_FACTOR 1
#endif

/* Layers that are built at the same time share what one may take. */
Test(oci, memory_is_bounded_by_neither_layers_nor_threads)
{
        static const char *const tars[] = {"1.zst", "2.zst", "3.zst", "4.zst", "5.zst", "6.zst"};
        struct rusage usage = {};
        int status = 0;
        pid_t pid;

        shell("head -c 36M /dev/urandom >random && for i in 1 2 3 4 5 6; do echo $i >number && "
              "tar -cf $i number random && zstd -q -1 --long=25 $i; done");
        put_image("sample:1", "", tars, ELEMENTSOF(tars));
        pid = fork();
        if (pid == 0) {
                struct build_oci_options o = options();

                o.threads = 6;
                _exit(convert_with(&o, "source", NULL) == 0 ? 0 : 1);
        }
        cr_assert_eq(wait4(pid, &status, 0, &usage), pid);
        cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        cr_expect_lt(usage.ru_maxrss, MEMORY_FACTOR * 64 * 1024, "%ld KiB", usage.ru_maxrss);
}
