/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/escape.h"
#include "osguard/volume.h"

/* LUKS2 On-Disk Format Specification, 2.2. */
struct luks2_header {
        uint8_t magic[6];
        uint16_t version;
        uint64_t size;
        uint64_t sequence;
        char label[48];
        char checksum_algorithm[32];
        uint8_t salt[64];
        char uuid[40];
        char subsystem[48];
        uint64_t offset;
        uint8_t padding[184];
        uint8_t checksum[64];
        uint8_t padding_to_page[3584];
} __attribute__((packed));

_Static_assert(sizeof(struct luks2_header) == 4096, "the binary header is one page");

#define JSON_SIZE (VOLUME_COPY_SIZE - sizeof(struct luks2_header))

static const char *const copy_names[] = {"primary", "secondary"};

static int copy_error(unsigned copy, const char *field, struct error *e)
{
        return error_set(e, -EBADMSG,
                         "LUKS2 header: %s copy: %s: what we write expected, found something else",
                         copy_names[copy], field);
}

/* The checksum is over the whole copy with its own field zeroed. */
static bool checksum_holds(const uint8_t *bytes)
{
        uint8_t copy[VOLUME_COPY_SIZE], digest[32];
        struct luks2_header *h = (struct luks2_header *)copy;
        uint8_t found[sizeof(h->checksum)];

        memcpy(copy, bytes, sizeof(copy));
        memcpy(found, h->checksum, sizeof(found));
        memset(h->checksum, 0, sizeof(h->checksum));
        return trust_sha256(copy, sizeof(copy), digest) == 0 && memcmp(found, digest, sizeof(digest)) == 0;
}

/* libcryptsetup takes any text, and it is shown to people. */
static bool is_uuid(const char text[static 40])
{
        return strnlen(text, 40) == 36 && strspn(text, "0123456789abcdef-") == 36;
}

static int check_copy(const uint8_t *bytes, unsigned copy, struct error *e)
{
        static const uint8_t magics[][6] = {{'L', 'U', 'K', 'S', 0xba, 0xbe},
                                            {'S', 'K', 'U', 'L', 0xba, 0xbe}};
        struct luks2_header h;

        memcpy(&h, bytes, sizeof(h));
        if (memcmp(h.magic, magics[copy], sizeof(h.magic)) != 0)
                return copy_error(copy, "magic", e);
        if (be16toh(h.version) != 2)
                return copy_error(copy, "version", e);
        if (be64toh(h.size) != VOLUME_COPY_SIZE)
                return copy_error(copy, "size", e);
        if (be64toh(h.offset) != (uint64_t)copy * VOLUME_COPY_SIZE)
                return copy_error(copy, "offset", e);
        if (strncmp(h.checksum_algorithm, "sha256", sizeof(h.checksum_algorithm)) != 0)
                return copy_error(copy, "checksum algorithm", e);
        if (!checksum_holds(bytes))
                return copy_error(copy, "checksum", e);
        return is_uuid(h.uuid) ? 0 : copy_error(copy, "UUID", e);
}

int volume_copies_check(const uint8_t copies[static 2 * VOLUME_COPY_SIZE], struct error *e)
{
        const uint8_t *second = copies + VOLUME_COPY_SIZE;
        struct luks2_header a, b;
        int r = 0;

        for (unsigned i = 0; r >= 0 && i < 2; i++)
                r = check_copy(i == 0 ? copies : second, i, e);
        if (r < 0)
                return r;
        memcpy(&a, copies, sizeof(a));
        memcpy(&b, second, sizeof(b));
        if (a.sequence != b.sequence)
                return error_set(e, -EBADMSG,
                                 "LUKS2 header: sequence: %" PRIu64
                                 " in both copies expected, found %" PRIu64,
                                 be64toh(a.sequence), be64toh(b.sequence));
        if (memcmp(a.uuid, b.uuid, sizeof(a.uuid)) != 0)
                return copy_error(1, "UUID", e);
        if (memcmp(copies + sizeof(a), second + sizeof(b), JSON_SIZE) != 0)
                return copy_error(1, "JSON", e);
        return 0;
}

/* --- JSON --- */

/* What a header of ours says. "$N" stands for any N bytes in Base64, "$" for a blob that somebody else
 * judges. One keyslot, for the recovery key; its offset, stripes and ciphers are those of libcryptsetup. */
static const char layout[] =
        "{\"keyslots\":{\"0\":{\"type\":\"luks2\",\"key_size\":64,"
        "\"af\":{\"type\":\"luks1\",\"stripes\":4000,\"hash\":\"sha256\"},"
        "\"area\":{\"type\":\"raw\",\"offset\":\"32768\",\"size\":\"258048\",\"encryption\":\"aes-xts-"
        "plain64\","
        "\"key_size\":64},"
        "\"kdf\":{\"type\":\"pbkdf2\",\"hash\":\"sha256\",\"iterations\":1000,\"salt\":\"$32\"}}},"
        "\"tokens\":{\"0\":{\"type\":\"holdfast-tpm\",\"keyslots\":[],\"public\":\"$\",\"private\":\"$\"}},"
        "\"segments\":{\"0\":{\"type\":\"crypt\",\"offset\":\"16777216\",\"size\":\"dynamic\",\"iv_tweak\":"
        "\"0\","
        "\"encryption\":\"aes-xts-plain64\",\"sector_size\":4096}},"
        "\"digests\":{\"0\":{\"type\":\"pbkdf2\",\"keyslots\":[\"0\"],\"segments\":[\"0\"],\"hash\":"
        "\"sha256\","
        "\"iterations\":1000,\"salt\":\"$32\",\"digest\":\"$32\"}},"
        "\"config\":{\"json_size\":\"12288\",\"keyslots_size\":\"16744448\"}}";

/* Where the comparison stands, for messages. */
struct place {
        const struct place *above;
        const char *name;
};

static void print_place(const struct place *at, size_t size, char *ret)
{
        size_t n;

        ret[0] = '\0';
        if (!at)
                return;
        print_place(at->above, size, ret);
        n = strlen(ret);
        (void)snprintf(ret + n, size - n, "%s%s", n > 0 ? "." : "", at->name);
}

static int refuse_field(const struct place *at, const char *expected, const char *found, struct error *e)
{
        _cleanup_free_ char *shown = NULL;
        char path[256];

        print_place(at, sizeof(path), path);
        shown = escape_text(path);
        return error_set(e, -EBADMSG, "LUKS2 header: %s: %s expected, found %.100s", shown ?: "", expected,
                         found);
}

static int refuse_value(const struct place *at, sd_json_variant *expected, sd_json_variant *found,
                        struct error *e)
{
        _cleanup_free_ char *wanted = NULL, *given = NULL;

        if (sd_json_variant_format(expected, 0, &wanted) < 0 || sd_json_variant_format(found, 0, &given) < 0)
                return -ENOMEM;
        return refuse_field(at, wanted, given, e);
}

static int check_bytes(const struct place *at, const char *expected, sd_json_variant *found, struct error *e)
{
        _cleanup_free_ void *bytes = NULL;
        size_t size = 0;

        if (sd_json_variant_unbase64(found, &bytes, &size) < 0)
                return refuse_field(at, "Base64", "something else", e);
        if (expected[1] && size != strtoul(expected + 1, NULL, 10))
                return refuse_field(at, "another number of bytes", sd_json_variant_string(found), e);
        return 0;
}

static int compare(const struct place *above, const char *name, sd_json_variant *expected,
                   sd_json_variant *found, struct error *e);

static int compare_objects(const struct place *at, sd_json_variant *expected, sd_json_variant *found,
                           struct error *e)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < sd_json_variant_elements(expected); i += 2) {
                const char *name = sd_json_variant_string(sd_json_variant_by_index(expected, i));

                r = compare(at, name, sd_json_variant_by_index(expected, i + 1),
                            sd_json_variant_by_key(found, name), e);
        }
        for (size_t i = 0; r >= 0 && i < sd_json_variant_elements(found); i += 2) {
                const char *name = sd_json_variant_string(sd_json_variant_by_index(found, i));

                if (!sd_json_variant_by_key(expected, name))
                        r = refuse_field(&(struct place){at, name}, "no such field", "one", e);
        }
        if (r >= 0 && sd_json_variant_elements(found) != sd_json_variant_elements(expected))
                r = refuse_field(at, "each name once", "one again", e);
        return r;
}

/* As deep as the layout. */
static int compare(const struct place *above, const char *name, sd_json_variant *expected,
                   sd_json_variant *found, struct error *e)
{
        const struct place at = {above, name};

        if (!found)
                return refuse_field(&at, "a value", "none", e);
        if (sd_json_variant_is_object(expected) && sd_json_variant_is_object(found))
                return compare_objects(&at, expected, found, e);
        if (sd_json_variant_is_string(expected) && sd_json_variant_string(expected)[0] == '$')
                return check_bytes(&at, sd_json_variant_string(expected), found, e);
        return sd_json_variant_equal(expected, found) ? 0 : refuse_value(&at, expected, found, e);
}

/* --- the token --- */

static int token_blob(sd_json_variant *token, const char *name, void **ret, size_t *ret_size, struct error *e)
{
        int r = sd_json_variant_unbase64(sd_json_variant_by_key(token, name), ret, ret_size);

        return r < 0 ? error_errno(e, r, "LUKS2 header: tokens.0.%s", name) : 0;
}

static int parse_token(sd_json_variant *token, const struct tpm_public *authority, struct tpm_sealed *ret,
                       struct error *e)
{
        _cleanup_free_ void *public_area = NULL, *private_area = NULL;
        size_t public_size = 0, private_size = 0;
        int r;

        r = token_blob(token, "public", &public_area, &public_size, e);
        if (r >= 0)
                r = token_blob(token, "private", &private_area, &private_size, e);
        if (r < 0)
                return r;
        r = tpm_sealed_parse(authority, public_area, public_size, private_area, private_size, ret, e);
        return r < 0 ? error_prefix(e, r, "LUKS2 header: tokens.0") : 0;
}

int volume_json_check(const char *json, const struct tpm_public *authority, struct tpm_sealed *ret,
                      struct error *e)
{
        _cleanup_json_ sd_json_variant *expected = NULL, *found = NULL;
        sd_json_variant *tokens;
        int r;

        r = json_parse("layout", layout, &expected, e);
        if (r >= 0)
                r = json_parse("LUKS2 header", json, &found, e);
        if (r < 0)
                return r == -ENOMEM ? r : -EBADMSG;
        tokens = sd_json_variant_by_key(found, "tokens");
        if (sd_json_variant_is_object(tokens) && sd_json_variant_elements(tokens) == 0)
                return error_set(e, -ENODATA, "LUKS2 header: tokens.0: a value expected, found none");
        r = sd_json_variant_is_object(found) ? compare_objects(NULL, expected, found, e)
                                             : refuse_value(NULL, expected, found, e);
        if (r < 0)
                return r;
        return parse_token(sd_json_variant_by_key(tokens, "0"), authority, ret, e);
}

int volume_token(const struct tpm_sealed *sealed, char **ret, struct error *e)
{
        _cleanup_json_ sd_json_variant *token = NULL;
        int r;

        r = sd_json_buildo(
                &token, SD_JSON_BUILD_PAIR_STRING("type", "holdfast-tpm"),
                SD_JSON_BUILD_PAIR_EMPTY_ARRAY("keyslots"),
                SD_JSON_BUILD_PAIR_BASE64("public", sealed->public_area.bytes, sealed->public_area.size),
                SD_JSON_BUILD_PAIR_BASE64("private", sealed->private_area, sealed->private_size));
        if (r >= 0)
                r = sd_json_variant_format(token, 0, ret);
        return r < 0 ? error_errno(e, r, "LUKS2 token") : 0;
}
