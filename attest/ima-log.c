/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ima-log.h"

#include <errno.h>
#include <string.h>

#include "attest/slice.h"
#include "base/cleanup.h"

struct reader {
        const uint8_t *p;
        size_t left;
};

static const uint8_t *take(struct reader *r, size_t n)
{
        const uint8_t *p = r->p;

        if (n > r->left)
                return NULL;
        r->p += n;
        r->left -= n;
        return p;
}

static bool take32(struct reader *r, uint32_t *ret)
{
        const uint8_t *p = take(r, 4);

        if (p)
                *ret = get_le32(p);
        return p;
}

/* A length and so many bytes. */
static bool take_field(struct reader *r, struct reader *ret)
{
        uint32_t n;
        const uint8_t *p;

        if (!take32(r, &n) || !(p = take(r, n)))
                return false;
        *ret = (struct reader){p, n};
        return true;
}

/* "ALGORITHM:", NUL, digest; in the second version "ima:" or "verity:" stands before. */
static bool read_digest(struct reader field, bool typed, struct ima_entry *ret)
{
        const uint8_t *end = memchr(field.p, '\0', field.left), *colon;
        const char *name = (const char *)field.p;
        size_t n;

        if (!end || end == field.p || end[-1] != ':')
                return false;
        if (typed) {
                colon = memchr(field.p, ':', (size_t)(end - field.p));
                name = (const char *)colon + 1;
        }
        if ((const uint8_t *)name >= end)
                return false;
        n = (size_t)(end - 1 - (const uint8_t *)name);
        if (n >= sizeof(ret->algorithm) || memchr(name, ':', n))
                return false;
        memcpy(ret->algorithm, name, n);
        ret->algorithm[n] = '\0';
        ret->digest = end + 1;
        ret->digest_size = field.left - (size_t)(end + 1 - field.p);
        return ret->digest_size > 0;
}

static bool read_name(struct reader field, struct ima_entry *ret)
{
        if (field.left == 0 || memchr(field.p, '\0', field.left) != field.p + field.left - 1)
                return false;
        ret->name = (const char *)field.p;
        return true;
}

/* Template data: a digest, a name, and what the template has besides. Nothing may stand behind. */
static bool read_template(struct ima_entry *ret, struct reader *ret_signature)
{
        static const struct {
                const char *name;
                bool typed, signature, buffer;
        } templates[] = {
                {"ima-ng", false, false, false}, {"ima-ngv2", true, false, false},
                {"ima-sig", false, true, false}, {"ima-sigv2", true, true, false},
                {"ima-buf", false, false, true},
        };
        struct reader r = {ret->template_data, ret->template_size}, digest, name, third = {};

        for (size_t i = 0; i < ELEMENTSOF(templates); i++) {
                if (strcmp(ret->template_name, templates[i].name) != 0)
                        continue;
                if (!take_field(&r, &digest) || !read_digest(digest, templates[i].typed, ret) ||
                    !take_field(&r, &name) || !read_name(name, ret))
                        return false;
                if ((templates[i].signature || templates[i].buffer) && !take_field(&r, &third))
                        return false;
                if (templates[i].buffer) {
                        ret->buffer = third.p;
                        ret->buffer_size = third.left;
                } else {
                        *ret_signature = third;
                }
                return r.left == 0;
        }
        return false;
}

static bool is_filled(const uint8_t *p, size_t n, uint8_t byte)
{
        for (size_t i = 0; i < n; i++)
                if (p[i] != byte)
                        return false;
        return true;
}

/* Whether the entry's digest is that of these bytes. */
static bool digest_is_of(const struct ima_entry *entry, uint16_t algorithm, const uint8_t *p, size_t n)
{
        uint8_t found[PCR_DIGEST_MAX];

        return pcr_hash(algorithm, p, n, found) == 0 && memcmp(found, entry->digest, entry->digest_size) == 0;
}

/* The entry's own digest is SHA-1 over the template data, or zeros for a violation. A buffer's digest is over
 * it. The template's name is not measured: a signature that has the file's digest is a buffer. */
static bool digests_fit(struct ima_entry *entry, const uint8_t sha1[static 20], struct reader signature)
{
        uint8_t found[PCR_DIGEST_MAX];
        uint16_t algorithm = pcr_algorithm_from_name(entry->algorithm);

        entry->violation = is_filled(sha1, 20, 0);
        if (!entry->violation && (pcr_hash(PCR_SHA1, entry->template_data, entry->template_size, found) < 0 ||
                                  memcmp(found, sha1, 20) != 0))
                return false;
        if (algorithm && entry->digest_size != pcr_digest_size(algorithm))
                return false;
        if (entry->buffer)
                return digest_is_of(entry, algorithm, entry->buffer, entry->buffer_size);
        return signature.left == 0 ||
               (algorithm && !digest_is_of(entry, algorithm, signature.p, signature.left));
}

static bool read_entry(struct reader *r, struct ima_entry *ret)
{
        struct reader name, data, signature = {};
        const uint8_t *sha1;

        if (!take32(r, &ret->pcr) || !(sha1 = take(r, 20)) || !take_field(r, &name) || !take_field(r, &data))
                return false;
        if (ret->pcr >= PCR_COUNT || name.left == 0 || name.left >= sizeof(ret->template_name) ||
            data.left > IMA_TEMPLATE_DATA_MAX)
                return false;
        memcpy(ret->template_name, name.p, name.left);
        ret->template_data = data.p;
        ret->template_size = data.left;
        return read_template(ret, &signature) && digests_fit(ret, sha1, signature);
}

int ima_log_next(const void *log, size_t size, size_t *offset, uint32_t number, struct ima_entry *ret,
                 struct error *e)
{
        struct reader r = {(const uint8_t *)log + *offset, size - *offset};
        struct ima_entry entry = {.number = number};

        if (size > IMA_LOG_MAX)
                return error_set(e, -EFBIG, "IMA log: at most %zu bytes expected, found %zu", IMA_LOG_MAX,
                                 size);
        if (r.left == 0)
                return 0;
        if (!read_entry(&r, &entry))
                return error_set(e, -EBADMSG,
                                 "IMA log: entry %u at byte %zu: an entry with digests of its data expected, "
                                 "found something else",
                                 number, *offset);
        *offset = size - r.left;
        *ret = entry;
        return 1;
}

int ima_log_replay(const void *log, size_t size, struct pcr_bank *bank, struct error *e)
{
        struct ima_entry entry = {};
        size_t offset = 0;
        uint32_t n = 0;
        int r;

        while ((r = ima_log_next(log, size, &offset, n++, &entry, e)) > 0) {
                uint8_t digest[PCR_DIGEST_MAX];

                memset(digest, 0xff, sizeof(digest));
                if (!entry.violation)
                        r = pcr_hash(bank->algorithm, entry.template_data, entry.template_size, digest);
                if (r >= 0)
                        r = pcr_bank_extend(bank, entry.pcr, digest);
                if (r < 0)
                        return error_errno(e, r, "IMA log: entry %u", entry.number);
        }
        return r;
}
