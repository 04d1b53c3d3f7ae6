/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verity verify: the signature of one image, at a time */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "program.h"

/* RFC 3339, or @ and seconds since 1970. */
static int parse_time(const char *text, int64_t *ret, struct error *e)
{
        struct tm tm = {};
        long long seconds;
        char *end = NULL;

        if (text[0] == '@' && text[1] >= '0' && text[1] <= '9') {
                errno = 0;
                seconds = strtoll(text + 1, &end, 10);
                *ret = seconds;
                if (errno == 0 && *end == '\0')
                        return 0;
        } else {
                end = strptime(text, "%Y-%m-%dT%H:%M:%S%z", &tm);
                if (end && *end == '\0') {
                        long offset = tm.tm_gmtoff;

                        *ret = timegm(&tm) - offset;
                        return 0;
                }
        }
        return error_set(
                e, -EINVAL,
                "--at: a time like 2026-01-31T12:00:00Z, or @ and seconds since 1970, expected, found "
                "\"%s\"",
                text);
}

int time_option(int64_t *ret, struct error *e)
{
        *ret = time(NULL);
        return options.at ? parse_time(options.at, ret, e) : 0;
}

int open_trust(struct trust_store **ret, struct error *e)
{
        int64_t at;
        int r = time_option(&at, e);

        return r < 0 ? r : trust_store_open_pki(AT_FDCWD, options.trust, at, ret, e);
}

/* The DER of what a signature partition holds. */
static int take_signature(struct verity_signature *s, const char *root_hash, uint8_t **ret, size_t *ret_size,
                          struct error *e)
{
        int r = 0;

        if (strcmp(root_hash, s->root_hash) == 0) {
                *ret = TAKE_PTR(s->der);
                *ret_size = s->der_size;
        } else {
                r = error_set(e, -EBADMSG, "root hash %s expected, found %s", root_hash, s->root_hash);
        }
        verity_signature_done(s);
        return r;
}

/* A signature file is DER, or what a signature partition holds. */
static int read_signature_file(const char *root_hash, uint8_t **ret, size_t *ret_size, struct error *e)
{
        struct verity_signature s = {};
        _cleanup_free_ char *data = NULL;
        size_t size = 0;
        int r;

        r = read_file(AT_FDCWD, options.signature, 4 * TRUST_SIGNATURE_MAX, &data, &size, e);
        if (r < 0)
                return r;
        if (size == 0 || data[0] != '{') {
                *ret = (uint8_t *)TAKE_PTR(data);
                *ret_size = size;
                return 0;
        }
        r = verity_signature_parse(data, size, &s, e);
        return r < 0 ? r : take_signature(&s, root_hash, ret, ret_size, e);
}

static int read_partition(const struct image_file *i, const char *root_hash, uint8_t **ret, size_t *ret_size,
                          struct error *e)
{
        struct verity_signature s = {};
        int r = image_file_signature(i, &s, e);

        return r < 0 ? r : take_signature(&s, root_hash, ret, ret_size, e);
}

int read_signature(const struct image_file *i, uint8_t **ret, size_t *ret_size, struct error *e)
{
        char root_hash[2 * VERITY_DIGEST_MAX + 1];

        verity_geometry_root_hash(&i->geometry, root_hash);
        return options.signature ? read_signature_file(root_hash, ret, ret_size, e)
                                 : read_partition(i, root_hash, ret, ret_size, e);
}

int verify_signature(const struct image_file *i, enum trust_purpose purpose, struct trust_report *ret,
                     struct error *e)
{
        _cleanup_(trust_store_free_ptr) struct trust_store *store = NULL;
        char root_hash[2 * VERITY_DIGEST_MAX + 1];
        _cleanup_free_ uint8_t *der = NULL;
        size_t size = 0;
        int r;

        if (options.signature ? !options.trust : options.trust && i->signature_size == 0)
                return error_set(e, -EINVAL, "--signature= and --trust= expected together, found one");
        if (!options.trust)
                return 0;
        verity_geometry_root_hash(&i->geometry, root_hash);
        r = open_trust(&store, e);
        if (r >= 0)
                r = read_signature(i, &der, &size, e);
        if (r >= 0)
                r = trust_report_detached(store, purpose, root_hash, strlen(root_hash), der, size, ret, e);
        return r < 0 ? error_prefix(e, r, "%s", options.signature ?: "signature partition") : 0;
}

/* {"check":"validity","ok":false,"expected":"…","found":"…","kernel":"takes it"} */
int report_to_json(const struct trust_report *report, sd_json_variant **ret)
{
        for (size_t i = 0; i < report->n; i++) {
                const struct trust_finding *f = &report->findings[i];
                int r = sd_json_variant_append_arraybo(
                        ret, SD_JSON_BUILD_PAIR_STRING("check", f->check),
                        SD_JSON_BUILD_PAIR_BOOLEAN("ok", f->result == 0),
                        SD_JSON_BUILD_PAIR_STRING("expected", f->expected),
                        SD_JSON_BUILD_PAIR_STRING("found", f->found),
                        SD_JSON_BUILD_PAIR_STRING("kernel", f->kernel ? strerrorname_np(-f->kernel) : "ok"));

                if (r < 0)
                        return r;
        }
        return 0;
}
