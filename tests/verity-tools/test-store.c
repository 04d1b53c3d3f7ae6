/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A store with one signed image, and every way in which one could be made to lie. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "image-source.h"
#include "scratch.h"
#include "verity-tools/build.h"
#include "verity-tools/internal.h"

/* What the store is made of, so that a test can make it again with one thing changed. */
static struct {
        struct trust_signer *layer, *manifest, *policy;
        char image[72];
} made;

static int find(const char *reference, struct store_image **ret, struct error *e)
{
        struct trust_store *trust = NULL;
        struct store *store = NULL;
        int r;

        cr_assert_eq(trust_store_open(AT_FDCWD, "trust", &trust, e), 0, "%s", e->message);
        r = store_open(AT_FDCWD, "store", &store, e);
        if (r >= 0)
                r = store_find_image(store, reference, trust, ret, e);
        trust_store_free(trust);
        store_free(store);
        return r;
}

static void set_up(void)
{
        struct build_oci_options o = {};
        struct build_oci_result result = {};
        struct store_image *image = NULL;
        struct error e = {};

        scratch_enter();
        o.layer_signer = made.layer = make_signer("layer", TRUST_LAYER);
        o.manifest_signer = made.manifest = make_signer("manifest", TRUST_MANIFEST);
        made.policy = make_signer("policy", TRUST_POLICY);
        make_source();
        cr_assert_eq(build_oci("source", "store", &o, &result, &e), 0, "%s", e.message);
        shell("mkdir trust && cp layer.pem manifest.pem policy.pem trust/");
        cr_assert_eq(find("sample:1", &image, &e), 0, "%s", e.message);
        memcpy(made.image, image->digest, sizeof(made.image));
        store_image_free(image);
}

static void tear_down(void)
{
        trust_signer_free(made.layer);
        trust_signer_free(made.manifest);
        trust_signer_free(made.policy);
        scratch_leave();
}

TestSuite(store, .init = set_up, .fini = tear_down);

/* --- what works --- */

Test(store, image_is_found_with_all_it_says)
{
        struct store_image *image = NULL;
        struct error e = {};

        cr_assert_eq(find("sample:1", &image, &e), 0, "%s", e.message);
        cr_expect_eq(image->n_layers, 2);
        cr_expect_str_eq(image->entrypoint[0], "/bin/app");
        cr_expect_str_eq(image->cmd[1], "y z");
        cr_expect_null(image->cmd[2]);
        cr_expect_str_eq(image->env[0], "A=1");
        cr_expect_str_eq(image->user, "7:7");
        cr_expect_str_eq(image->workdir, "/w");
        cr_expect_gt(image->layers[1].signature_size, 0);
        store_image_free(image);
        cr_expect_eq(find("sample", &image, &e), -ENOENT);
        cr_expect_eq(find("sample:1x", &image, &e), -ENOENT);
        cr_expect_eq(find("", &image, &e), -ENOENT);
}

Test(store, a_digest_in_the_reference_must_match)
{
        struct store_image *image = NULL;
        struct error e = {};
        char reference[128];

        (void)snprintf(reference, sizeof(reference), "sample:1@%s", made.image);
        cr_assert_eq(find(reference, &image, &e), 0, "%s", e.message);
        store_image_free(image);
        reference[strlen(reference) - 1] ^= 1;
        cr_expect_eq(find(reference, &image, &e), -ENOENT);
}

Test(store, layers_open_and_hold)
{
        struct trust_store *trust = NULL;
        struct store *store = NULL;
        struct store_image *image = NULL;
        struct error e = {};

        cr_assert_eq(trust_store_open(AT_FDCWD, "trust", &trust, &e), 0);
        cr_assert_eq(store_open(AT_FDCWD, "store", &store, &e), 0, "%s", e.message);
        cr_assert_eq(store_find_image(store, "sample:1", trust, &image, &e), 0);
        for (size_t i = 0; i < image->n_layers; i++) {
                int fd = -EBADF;

                cr_assert_eq(store_open_layer(store, &image->layers[i], &fd, &e), 0, "%s", e.message);
                cr_expect_eq(verity_tree_verify(fd, fd, &image->layers[i].geometry, NULL, &e), 0, "%s",
                             e.message);
                close(fd);
        }
        image->layers[0].geometry.salt[0] = 1;
        int fd = -EBADF;
        cr_expect_eq(store_open_layer(store, &image->layers[0], &fd, &e), -EBADMSG,
                     "the superblock says something else");
        store_image_free(image);
        store_free(store);
        trust_store_free(trust);
}

/* --- files that are not what they should be --- */

struct damage {
        char what[64];
        char line[160]; /* run below the store */
        int error;
};

ParameterizedTestParameters(store, damaged_files)
{
        static struct damage cases[] = {
                {"no oci-layout", "rm oci-layout", -ENOENT},
                {"another layout version", "echo '{\"imageLayoutVersion\":\"2.0.0\"}' >oci-layout", -EBADMSG},
                {"no index", "rm index.json", -ENOENT},
                {"index is no JSON", "echo x >index.json", -EBADMSG},
                {"index is a list", "echo '[]' >index.json", -EBADMSG},
                {"index is huge", "truncate -s 5M index.json", -EBADMSG},
                {"index is a link", "mv index.json i && ln -s i index.json", -ELOOP},
                {"index is a directory", "rm index.json && mkdir index.json", -EBADMSG},
                {"index is a pipe", "rm index.json && mkfifo index.json", -EBADMSG},
                {"a name twice",
                 "sed -i 's/\\(\"manifests\":\\[\\)\\({[^}]*}[^}]*}}\\)/\\1\\2,\\2/' index.json", -EBADMSG},
                {"a digest with a path",
                 "sed -i 's/sha256:[0-9a-f]\\{64\\}/sha256:..\\/..\\/etc\\/passwd/' index.json", -EBADMSG},
                {"a digest in upper case", "sed -i 's/sha256:\\([0-9a-f]*\\)/sha256:\\U\\1/' index.json",
                 -EBADMSG},
                {"a size that lies", "sed -i 's/\"size\":/\"size\":1/' index.json", -EBADMSG},
                {"a negative size", "sed -i 's/\"size\":/\"size\":-/' index.json", -EBADMSG},
                {"blobs are away", "mv blobs gone", -EBADMSG},
                {"blobs are a link outside", "mv blobs ../blobs && ln -s ../blobs blobs", -ELOOP},
                {"small blobs are changed", "find blobs -type f -size -8k -exec sed -i 's/e/f/' {} +",
                 -EBADMSG},
                {"small blobs are longer", "for f in $(find blobs -type f -size -8k); do echo >>$f; done",
                 -EBADMSG},
                {"no manifest signature", "sed -i 's/vnd.holdfast.manifest.signature/x/g' index.json",
                 -ENOKEY},
                {"no layer signature", "sed -i 's/vnd.cncf.notary.signature.dm-verity/x/g' index.json",
                 -ENOKEY},
                {"another media type", "sed -i '0,/image.manifest/s/image.manifest/image.index/' index.json",
                 -EBADMSG},
        };

        return cr_make_param_array(struct damage, cases, ELEMENTSOF(cases));
}

ParameterizedTest(struct damage *d, store, damaged_files)
{
        struct store_image *image = NULL;
        struct error e = {};

        shell("cd store && %s", d->line);
        cr_expect_eq(find("sample:1", &image, &e), d->error, "%s: %s", d->what, e.message);
        cr_expect_null(image);
        cr_expect_neq(e.message[0], '\0');
}

/* --- things that are signed, and wrong all the same --- */

static void put_entry(FILE *f, const struct named_blob *b, const char *rest)
{
        (void)fprintf(f, "{\"mediaType\":\"" OCI_MANIFEST_TYPE "\",\"digest\":\"%s\",\"size\":%zu,%s}",
                      b->digest, b->size, rest);
}

static struct named_blob put_referrer(const struct named_blob *image, const char *type, const char *blobs)
{
        char *text = NULL;
        struct named_blob b;

        cr_assert_gt(asprintf(&text,
                              "{\"schemaVersion\":2,\"mediaType\":\"" OCI_MANIFEST_TYPE
                              "\",\"artifactType\":\"%s\",\"layers\":[%s],\"subject\":{\"digest\":\"%s\"}}",
                              type, blobs, image->digest),
                     0);
        b = put_blob("store", text, strlen(text));
        free(text);
        return b;
}

/* The descriptor of a signature by s over data. */
static char *signature_entry(struct trust_signer *s, const void *data, size_t size, const char *annotations)
{
        uint8_t *der = NULL;
        size_t der_size = 0;
        struct named_blob b;
        char *text = NULL;

        cr_assert_eq(trust_sign(s, trust_signer_purpose(s), data, size, false, &der, &der_size, NULL), 0);
        b = put_blob("store", der, der_size);
        free(der);
        cr_assert_gt(asprintf(&text,
                              "{\"mediaType\":\"" OCI_PKCS7_TYPE "\",\"digest\":\"%s\",\"size\":%zu%s}",
                              b.digest, b.size, annotations),
                     0);
        return text;
}

/* Makes the store's index anew for this manifest: signed by manifest_signer, and the layers that `image` has,
 * each over its root hash by layer_signer. */
static void sign_anew(const char *manifest, size_t size, const struct store_image *image,
                      struct trust_signer *manifest_signer, struct trust_signer *layer_signer)
{
        struct named_blob new = put_blob("store", manifest, size), by_manifest, by_layer;
        char *entry = signature_entry(manifest_signer, manifest, size, ""), *all = calloc(1, 1 << 20);
        FILE *f;

        by_manifest = put_referrer(&new, OCI_MANIFEST_SIGNATURE_TYPE, entry);
        free(entry);
        for (size_t i = 0; i < image->n_layers; i++) {
                char root_hash[2 * VERITY_DIGEST_MAX + 1], annotations[256];

                verity_geometry_root_hash(&image->layers[i].geometry, root_hash);
                (void)snprintf(annotations, sizeof(annotations),
                               ",\"annotations\":{\"" OCI_LAYER_DIGEST "\":\"%s\"}", image->layers[i].digest);
                entry = signature_entry(layer_signer, root_hash, strlen(root_hash), annotations);
                (void)strcat(strcat(all, i > 0 ? "," : ""), entry);
                free(entry);
        }
        by_layer = put_referrer(&new, OCI_VERITY_SIGNATURE_TYPE, all);
        free(all);
        f = fopen("store/index.json", "we");
        (void)fputs("{\"schemaVersion\":2,\"manifests\":[", f);
        put_entry(f, &new, "\"annotations\":{\"" OCI_REF_NAME "\":\"sample:1\"}");
        (void)fputs(",", f);
        put_entry(f, &by_manifest, "\"artifactType\":\"" OCI_MANIFEST_SIGNATURE_TYPE "\"");
        (void)fputs(",", f);
        put_entry(f, &by_layer, "\"artifactType\":\"" OCI_VERITY_SIGNATURE_TYPE "\"");
        (void)fputs("]}", f);
        cr_assert_eq(fclose(f), 0);
}

static char *replace(const char *text, const char *from, const char *to)
{
        const char *at = strstr(text, from);
        char *changed = NULL;

        cr_assert_not_null(at, "%s in %s", from, text);
        cr_assert_geq(asprintf(&changed, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)), 0);
        return changed;
}

/* The image with its manifest changed and signed anew is refused. */
static void refused_although_signed(const char *from, const char *to, int error)
{
        struct store_image *image = NULL, *again = NULL;
        struct error e = {};
        size_t size = 0;
        char *text, *changed;

        cr_assert_eq(find("sample:1", &image, &e), 0, "%s", e.message);
        text = read_blob("store", image->digest, &size);
        changed = replace(text, from, to);
        sign_anew(changed, strlen(changed), image, made.manifest, made.layer);
        cr_expect_eq(find("sample:1", &again, &e), error, "%s -> %s: %s", from, to, e.message);
        store_image_free(again);
        store_image_free(image);
        free(changed);
        free(text);
}

Test(store, signed_anew_is_accepted)
{
        refused_although_signed("\"schemaVersion\":2", "\"schemaVersion\": 2", 0);
}

/* Manifests of others have but the three annotations of the EROFS image specification, or two. */
Test(store, absent_annotations_are_the_profile)
{
        static const char *const absent[] = {
                "io.holdfast.verity.data_size", "io.holdfast.verity.salt", "io.holdfast.verity.algorithm",
                "io.holdfast.verity.hash_block_size", "org.erofs.dmverity.block_size"};

        for (size_t i = 0; i < ELEMENTSOF(absent); i++)
                refused_although_signed(absent[i], "other", 0);
}

Test(store, wrong_signers)
{
        struct store_image *image = NULL, *again = NULL;
        struct trust_signer *foreign = make_signer("foreign", TRUST_LAYER),
                            *foreign_manifest = make_signer("other", TRUST_MANIFEST);
        struct error e = {};
        size_t size = 0;
        char *text;

        cr_assert_eq(find("sample:1", &image, &e), 0, "%s", e.message);
        text = read_blob("store", image->digest, &size);
        sign_anew(text, size, image, made.manifest, made.layer);
        cr_assert_eq(find("sample:1", &again, &e), 0, "%s", e.message);
        store_image_free(again);
        sign_anew(text, size, image, made.manifest, foreign);
        cr_expect_eq(find("sample:1", &again, &e), -ENOKEY, "%s", e.message);
        sign_anew(text, size, image, foreign_manifest, made.layer);
        cr_expect_eq(find("sample:1", &again, &e), -ENOKEY, "%s", e.message);
        sign_anew(text, size, image, made.manifest, made.policy);
        cr_expect_eq(find("sample:1", &again, &e), -EKEYREJECTED, "%s", e.message);
        sign_anew(text, size, image, made.layer, made.layer);
        cr_expect_eq(find("sample:1", &again, &e), -EKEYREJECTED, "%s", e.message);
        free(text);
        store_image_free(image);
        trust_signer_free(foreign);
        trust_signer_free(foreign_manifest);
}

Test(store, a_layers_signature_is_not_anothers)
{
        struct store_image *image = NULL, *again = NULL;
        struct verity_geometry swapped;
        struct error e = {};
        size_t size = 0;
        char *text;

        cr_assert_eq(find("sample:1", &image, &e), 0, "%s", e.message);
        text = read_blob("store", image->digest, &size);
        swapped = image->layers[0].geometry;
        image->layers[0].geometry = image->layers[1].geometry;
        image->layers[1].geometry = swapped;
        sign_anew(text, size, image, made.manifest, made.layer);
        cr_expect_eq(find("sample:1", &again, &e), -EKEYREJECTED, "%s", e.message);
        free(text);
        store_image_free(image);
}

struct change {
        char from[96], to[96];
};

ParameterizedTestParameters(store, bad_manifests)
{
        static struct change cases[] = {
                {"application/vnd.erofs", "application/vnd.oci.image.layer.v1.tar"},
                {"\"schemaVersion\":2", "\"schemaVersion\":1"},
                {OCI_MANIFEST_TYPE, OCI_INDEX_TYPE},
                {OCI_CONFIG_TYPE, "application/json"},
                {"\"layers\":[", "\"layers\":[],\"x\":["},
                {"\"layers\":[", "\"layers\":7,\"x\":["},
                {"\"layers\":[", "\"layers\":[7,"},
                {"\"config\":{", "\"config\":7,\"x\":{"},
                {"\"config\":{", "\"x\":{"},
                {"org.erofs.dmverity.root_digest\":\"sha256:",
                 "org.erofs.dmverity.root_digest\":\"sha256:00"},
                {"org.erofs.dmverity.hash_offset\":\"", "org.erofs.dmverity.hash_offset\":\"4096000000"},
                {"org.erofs.dmverity.hash_offset\":\"", "org.erofs.dmverity.hash_offset\":\"-"},
                {"io.holdfast.verity.data_size\":\"", "io.holdfast.verity.data_size\":\"4096"},
                {"org.erofs.dmverity.hash_offset", "org.erofs.dmverity.other"},
                {"io.holdfast.verity.algorithm\":\"sha256", "io.holdfast.verity.algorithm\":\"sha512"},
                {"io.holdfast.verity.salt\":\"", "io.holdfast.verity.salt\":\"0"},
                {"\"annotations\":{", "\"annotations\":[],\"x\":{"},
                {"\"digest\":\"sha256:", "\"digest\":\"sha512:"},
        };

        return cr_make_param_array(struct change, cases, ELEMENTSOF(cases));
}

ParameterizedTest(struct change *c, store, bad_manifests)
{
        refused_although_signed(c->from, c->to, -EBADMSG);
}

ParameterizedTestParameters(store, bad_configs)
{
        static struct change cases[] = {
                {"\"os\":\"linux\"", "\"os\":\"windows\""},
                {"\"os\":\"linux\"", "\"x\":1"},
                {"[\"/bin/app\"]", "\"/bin/app\""},
                {"[\"/bin/app\"]", "[7]"},
                {"\"7:7\"", "7"},
                {"\"config\":{", "\"config\":[],\"x\":{"},
                {"{", "{]"},
        };

        return cr_make_param_array(struct change, cases, ELEMENTSOF(cases));
}

ParameterizedTest(struct change *c, store, bad_configs)
{
        struct store_image *image = NULL;
        struct oci_descriptor d = {};
        _cleanup_json_ sd_json_variant *manifest = NULL;
        struct named_blob b;
        struct error e = {};
        size_t size = 0;
        char *text, *config, *changed, from[256], to[256];

        cr_assert_eq(find("sample:1", &image, &e), 0, "%s", e.message);
        text = read_blob("store", image->digest, &size);
        store_image_free(image);
        cr_assert_eq(json_parse("m", text, &manifest, &e), 0);
        cr_assert_eq(oci_descriptor_parse(sd_json_variant_by_key(manifest, "config"), "c", &d, &e), 0);
        config = read_blob("store", d.digest, &size);
        changed = replace(config, c->from, c->to);
        b = put_blob("store", changed, strlen(changed));
        (void)snprintf(from, sizeof(from), "\"digest\":\"%s\",\"size\":%zu", d.digest, (size_t)d.size);
        (void)snprintf(to, sizeof(to), "\"digest\":\"%s\",\"size\":%zu", b.digest, b.size);
        refused_although_signed(from, to, -EBADMSG);
        free(text);
        free(config);
        free(changed);
}

Test(store, too_many_layers)
{
        struct store_image *image = NULL, *again = NULL;
        struct error e = {};
        size_t size = 0;
        char *text, *many, *layer, *end;

        cr_assert_eq(find("sample:1", &image, &e), 0, "%s", e.message);
        text = read_blob("store", image->digest, &size);
        layer = strstr(text, "\"layers\":[") + strlen("\"layers\":[");
        end = strstr(layer, "}},") + 2;
        many = calloc(1, 1 << 20);
        (void)strncat(many, text, (size_t)(layer - text));
        for (int i = 0; i < STORE_LAYERS_MAX + 1; i++)
                (void)strcat(strncat(many, layer, (size_t)(end - layer)), i < STORE_LAYERS_MAX ? "," : "]}");
        sign_anew(many, strlen(many), image, made.manifest, made.layer);
        cr_expect_eq(find("sample:1", &again, &e), -EBADMSG);
        cr_expect_not_null(strstr(e.message, "1 to 128 layers"), "%s", e.message);
        free(many);
        free(text);
        store_image_free(image);
}
