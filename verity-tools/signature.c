/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "base/hex.h"
#include "internal.h"

/* A partition may be larger than what it holds, but the JSON is not larger than this. */
#define SIGNATURE_JSON_MAX (4 * TRUST_SIGNATURE_MAX)

void verity_signature_done(struct verity_signature *s)
{
        free(s->der);
        *s = (struct verity_signature){};
}

static int parse_fields(sd_json_variant *v, struct verity_signature *ret, struct error *e)
{
        const char *name = "verity signature", *root_hash = NULL, *base64 = NULL;
        uint8_t bytes[VERITY_DIGEST_MAX];
        size_t n, der_size = 0;
        void *der = NULL;
        int r;

        r = json_string(v, name, "rootHash", &root_hash, e);
        if (r < 0)
                return r;
        r = json_string(v, name, "signature", &base64, e);
        if (r < 0)
                return r;
        n = strlen(root_hash);
        if (n == 0 || n % 2 != 0 || n > (size_t)2 * VERITY_DIGEST_MAX ||
            hex_decode(root_hash, bytes, n / 2) < 0)
                return error_set(e, -EBADMSG, "%s: field \"rootHash\": hex digits expected, found \"%.80s\"",
                                 name, root_hash);
        r = sd_json_variant_unbase64(sd_json_variant_by_key(v, "signature"), &der, &der_size);
        if (r < 0 || der_size == 0 || der_size > TRUST_SIGNATURE_MAX) {
                free(der);
                return error_set(
                        e, -EBADMSG,
                        "%s: field \"signature\": 1 to %zu bytes in Base64 expected, found something else",
                        name, TRUST_SIGNATURE_MAX);
        }
        hex_encode(bytes, n / 2, ret->root_hash);
        ret->der = der;
        ret->der_size = der_size;
        return 0;
}

int verity_signature_parse(const char *text, size_t size, struct verity_signature *ret, struct error *e)
{
        size_t n = strnlen(text, size);
        _cleanup_json_ sd_json_variant *v = NULL;
        _cleanup_free_ char *copy = NULL;
        struct verity_signature s = {};
        int r;

        if (n > SIGNATURE_JSON_MAX)
                return error_set(e, -EBADMSG, "verity signature: at most %zu bytes expected, found more",
                                 SIGNATURE_JSON_MAX);
        for (size_t i = n; i < size; i++)
                if (text[i] != '\0')
                        return error_set(
                                e, -EBADMSG,
                                "verity signature: only NUL bytes behind the JSON expected, found others");
        copy = strndup(text, n);
        if (!copy)
                return -ENOMEM;
        r = json_parse("verity signature", copy, &v, e);
        if (r < 0)
                return r == -ENOMEM ? r : -EBADMSG;
        r = parse_fields(v, &s, e);
        if (r < 0)
                return r == -ENOMEM ? r : -EBADMSG;
        *ret = s;
        return 0;
}

int verity_signature_read(const char *path, struct verity_signature *ret, struct error *e)
{
        _cleanup_free_ char *text = calloc(1, SIGNATURE_JSON_MAX);
        _cleanup_close_ int fd = -EBADF;
        size_t size = 0;
        int r;

        if (!text)
                return -ENOMEM;
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0)
                return error_errno(e, -errno, "%s", path);
        while (size < SIGNATURE_JSON_MAX) {
                ssize_t n = read(fd, text + size, SIGNATURE_JSON_MAX - size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return error_errno(e, -errno, "%s", path);
                if (n == 0)
                        break;
                size += (size_t)n;
        }
        r = verity_signature_parse(text, size, ret, e);
        return r < 0 ? error_prefix(e, r, "%s", path) : 0;
}

int verity_signature_format(const struct verity_geometry *g, const uint8_t fingerprint[static 32],
                            const void *der, size_t der_size, char **ret, struct error *e)
{
        char root_hash[2 * VERITY_DIGEST_MAX + 1], hex[65];
        _cleanup_json_ sd_json_variant *v = NULL;
        _cleanup_free_ char *text = NULL;
        int r;

        verity_geometry_root_hash(g, root_hash);
        hex_encode(fingerprint, 32, hex);
        r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("rootHash", root_hash),
                           SD_JSON_BUILD_PAIR_STRING("certificateFingerprint", hex),
                           SD_JSON_BUILD_PAIR("signature", SD_JSON_BUILD_BASE64(der, der_size)));
        if (r >= 0)
                r = sd_json_variant_format(v, 0, &text);
        if (r < 0)
                return error_errno(e, r, "verity signature");
        if (strlen(text) > VERITY_SIGNATURE_PARTITION_SIZE)
                return error_set(e, -EFBIG, "verity signature: at most %d bytes expected, found %zu",
                                 VERITY_SIGNATURE_PARTITION_SIZE, strlen(text));
        *ret = TAKE_PTR(text);
        return 0;
}

int verity_signature_check(const struct trust_store *store, enum trust_purpose purpose,
                           const struct verity_geometry *g, const void *der, size_t der_size, struct error *e)
{
        char root_hash[2 * VERITY_DIGEST_MAX + 1];

        if (g->root_hash_size == 0)
                return error_set(e, -EINVAL, "a root hash expected, found none");
        verity_geometry_root_hash(g, root_hash);
        return trust_verify_detached(store, purpose, root_hash, strlen(root_hash), der, der_size, e);
}
