/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image-source.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/hex.h"
#include "scratch.h"
#include "verity-tools/internal.h"

struct named_blob put_blob(const char *layout, const void *data, size_t size)
{
        struct named_blob b = {.size = size};
        uint8_t hash[32];
        char path[256];

        cr_assert_eq(trust_sha256(data, size, hash), 0);
        (void)stpcpy(b.digest, "sha256:");
        hex_encode(hash, 32, b.digest + 7);
        (void)snprintf(path, sizeof(path), "%s/blobs/sha256/%s", layout, b.digest + 7);
        put(path, data, size);
        return b;
}

char *read_blob(const char *layout, const char *digest, size_t *ret_size)
{
        char path[256];

        (void)snprintf(path, sizeof(path), "%s/blobs/sha256/%s", layout, digest + 7);
        return slurp(path, ret_size);
}

void make_source(void)
{
        static const char config_text[] = "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{"
                                          "\"Entrypoint\":[\"/bin/app\"],\"Cmd\":[\"-x\","
                                          "\"y "
                                          "z\"],\"Env\":[\"A=1\"],\"User\":\"7:7\",\"WorkingDir\":\"/"
                                          "w\"},\"rootfs\":{\"type\":\"layers\","
                                          "\"diff_ids\":[\"sha256:%s\",\"sha256:%s\"]}}";
        struct named_blob config, layers[2], manifest;
        char text[4096], *data, *plain;
        size_t size = 0;

        shell("mkdir -p a/bin b/etc && echo app >a/bin/app && echo conf >b/etc/conf && touch b/etc/.wh.old "
              "&& tar -C a -cf a.tar . && gzip -k a.tar && tar -C b -cf b.tar .");
        data = slurp("a.tar.gz", &size);
        layers[0] = put_blob("source", data, size);
        free(data);
        data = slurp("b.tar", &size);
        layers[1] = put_blob("source", data, size);
        free(data);
        plain = shell_output("sha256sum a.tar | cut -c1-64");
        (void)snprintf(text, sizeof(text), config_text, plain, layers[1].digest + strlen("sha256:"));
        config = put_blob("source", text, strlen(text));
        free(plain);
        (void)snprintf(
                text, sizeof(text),
                "{\"schemaVersion\":2,\"mediaType\":\"" OCI_MANIFEST_TYPE
                "\",\"config\":{\"mediaType\":\"" OCI_CONFIG_TYPE
                "\",\"digest\":\"%s\",\"size\":%zu},\"layers\":["
                "{\"mediaType\":\"application/"
                "vnd.oci.image.layer.v1.tar+gzip\",\"digest\":\"%s\",\"size\":%zu},"
                "{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\",\"digest\":\"%s\",\"size\":%zu}]}",
                config.digest, config.size, layers[0].digest, layers[0].size, layers[1].digest,
                layers[1].size);
        manifest = put_blob("source", text, strlen(text));
        (void)snprintf(text, sizeof(text),
                       "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"" OCI_MANIFEST_TYPE
                       "\",\"digest\":\"%s\",\"size\":%zu,\"annotations\":{\"" OCI_REF_NAME
                       "\":\"sample:1\"}}]}",
                       manifest.digest, manifest.size);
        put_text("source/index.json", text);
        put_text("source/oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
}
