/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tpm/event-log.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "tpm/internal.h"

#define ALG_SHA256 0x000bu

struct event_log {
        struct tpm *tpm;
        unsigned pcr;
        uint64_t next;
        uint8_t value[32]; /* of the PCR, SHA-256 bank, after the events so far */
        bool unsettled;    /* nobody knows whether the PCR has the last record */
        int fd;
        char *mark;
};

struct buffer {
        uint8_t *bytes;
        size_t size, room;
};

static void put_be(uint8_t *p, uint64_t value, size_t n)
{
        for (size_t i = 0; i < n; i++)
                p[i] = (uint8_t)(value >> (8 * (n - 1 - i)));
}

static uint64_t get_be(const uint8_t *p, size_t n)
{
        uint64_t value = 0;

        for (size_t i = 0; i < n; i++)
                value = value << 8 | p[i];
        return value;
}

/* One TLV: type (1 byte), length (4 bytes, big endian), value. The buffer's room was reckoned beforehand. */
static void put_tlv(struct buffer *b, uint8_t type, const void *value, size_t n)
{
        b->bytes[b->size] = type;
        put_be(b->bytes + b->size + 1, n, 4);
        memcpy(b->bytes + b->size + 5, value, n);
        b->size += 5 + n;
}

struct event_log *event_log_free(struct event_log *log)
{
        if (!log)
                return NULL;
        close_fd(log->fd);
        free(log->mark);
        free(log);
        return NULL;
}

int event_log_create(const char *path, unsigned pcr, struct tpm *tpm, struct event_log **ret, struct error *e)
{
        _cleanup_(event_log_free_ptr) struct event_log *log = calloc(1, sizeof(*log));

        if (!log)
                return -ENOMEM;
        log->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644);
        if (log->fd < 0)
                return error_errno(e, -errno, "%s", path);
        if (asprintf(&log->mark, "%s.mark", path) < 0) {
                log->mark = NULL;
                return -ENOMEM;
        }
        log->pcr = pcr;
        log->tpm = tpm;
        *ret = TAKE_PTR(log);
        return 0;
}

static void put_digests(struct buffer *b, const struct tpm_digests *digests)
{
        uint8_t bytes[TPM_BANKS_MAX * (5 + TPM_DIGEST_MAX)];
        struct buffer inner = {.bytes = bytes};

        for (size_t i = 0; i < digests->n; i++)
                put_tlv(&inner, (uint8_t)digests->digest[i].algorithm, digests->digest[i].bytes,
                        digests->digest[i].size);
        put_tlv(b, CEL_DIGESTS, bytes, inner.size);
}

/* The TLVs of name and data; content->bytes is the caller's to free. */
static int make_content(const char *name, const void *data, size_t size, struct buffer *content,
                        struct error *e)
{
        if (size > EVENT_DATA_MAX || strlen(name) >= sizeof(((struct event_record *)0)->name))
                return error_set(e, -E2BIG, "event %s: at most %u bytes expected, found %zu", name,
                                 EVENT_DATA_MAX, size);
        *content = (struct buffer){.bytes = malloc(5 + strlen(name) + 5 + size)};
        if (!content->bytes)
                return -ENOMEM;
        put_tlv(content, HOLDFAST_EVENT_NAME, name, strlen(name));
        put_tlv(content, HOLDFAST_EVENT_DATA, data, size);
        return 0;
}

int event_digest(const char *name, const void *data, size_t size, uint8_t ret[static 32], struct error *e)
{
        struct buffer content = {};
        int r = make_content(name, data, size, &content, e);

        if (r >= 0 && EVP_Digest(content.bytes, content.size, ret, NULL, EVP_sha256(), NULL) != 1)
                r = error_set(e, -EIO, "event %s: SHA-256 failed", name);
        free(content.bytes);
        return r;
}

static int value_after(const struct event_log *log, const struct tpm_digests *digests, uint8_t ret[static 32],
                       struct error *e)
{
        uint8_t state[64];

        memcpy(state, log->value, 32);
        for (size_t i = 0; i < digests->n; i++)
                if (digests->digest[i].algorithm == ALG_SHA256)
                        memcpy(state + 32, digests->digest[i].bytes, 32);
        return tpm_sha256(state, sizeof(state), ret, e);
}

static int take(struct event_log *log, const uint8_t value[static 32], struct error *e)
{
        char mark[24];

        memcpy(log->value, value, 32);
        log->next++;
        (void)snprintf(mark, sizeof(mark), "%lu\n", (unsigned long)log->next);
        return write_file_atomic(AT_FDCWD, log->mark, mark, strlen(mark), 0644, e);
}

/* An error may hide that the TPM took the event; the PCR tells. */
static void settle(struct event_log *log, const uint8_t value[static 32], off_t end)
{
        uint8_t found[32];

        log->unsettled = true;
        if (tpm_pcr_read(log->tpm, log->pcr, found, NULL) < 0)
                return;
        if (memcmp(found, value, 32) == 0)
                log->unsettled = take(log, value, NULL) < 0;
        else if (memcmp(found, log->value, 32) == 0)
                log->unsettled = ftruncate(log->fd, end) < 0;
}

static int extend(struct event_log *log, const struct buffer *record, const struct tpm_digests *digests,
                  struct error *e)
{
        const off_t end = lseek(log->fd, 0, SEEK_END);
        uint8_t value[32];
        int r;

        r = value_after(log, digests, value, e);
        if (r < 0)
                return r;
        r = write_full(log->fd, record->bytes, record->size);
        if (r < 0)
                (void)error_errno(e, r, "write");
        if (r >= 0)
                r = tpm_pcr_extend(log->tpm, log->pcr, digests, e);
        if (r >= 0)
                return take(log, value, e);
        settle(log, value, end);
        return r;
}

int event_log_append(struct event_log *log, const char *name, const void *data, size_t size, struct error *e)
{
        _cleanup_free_ uint8_t *content_bytes = NULL, *bytes = NULL;
        struct buffer content = {}, record;
        struct tpm_digests digests;
        uint8_t sequence[8], pcr[4];
        int r;

        if (log->unsettled)
                return error_set(e, -EIO, "event %s: a log that agrees with its PCR expected", name);
        r = make_content(name, data, size, &content, e);
        if (r < 0)
                return r;
        content_bytes = content.bytes;
        bytes = malloc(content.size + 512);
        if (!bytes)
                return -ENOMEM;
        r = tpm_hash(log->tpm, content.bytes, content.size, &digests, e);
        if (r < 0)
                return r;
        record = (struct buffer){.bytes = bytes};
        put_be(sequence, log->next, sizeof(sequence));
        put_be(pcr, log->pcr, sizeof(pcr));
        put_tlv(&record, CEL_SEQUENCE, sequence, sizeof(sequence));
        put_tlv(&record, CEL_PCR, pcr, sizeof(pcr));
        put_digests(&record, &digests);
        put_tlv(&record, CEL_CONTENT_HOLDFAST, content.bytes, content.size);
        r = extend(log, &record, &digests, e);
        return r < 0 ? error_prefix(e, r, "event %s", name) : 0;
}

struct tlv {
        uint8_t type;
        const uint8_t *value;
        size_t size;
};

/* -ENODATA when the TLV does not fit into what is left. */
static int get_tlv(const uint8_t *p, size_t size, size_t *offset, struct tlv *ret)
{
        size_t n;

        if (size - *offset < 5)
                return -ENODATA;
        n = get_be(p + *offset + 1, 4);
        if (n > size - *offset - 5)
                return -ENODATA;
        *ret = (struct tlv){.type = p[*offset], .value = p + *offset + 5, .size = n};
        *offset += 5 + n;
        return 0;
}

static int get_digests(const struct tlv *t, struct tpm_digests *ret)
{
        struct tpm_digests out = {};
        size_t offset = 0;

        while (offset < t->size) {
                struct tlv d;

                if (out.n >= TPM_BANKS_MAX || get_tlv(t->value, t->size, &offset, &d) < 0 ||
                    d.size > TPM_DIGEST_MAX)
                        return -EBADMSG;
                out.digest[out.n] = (struct tpm_digest){.algorithm = d.type, .size = (uint16_t)d.size};
                memcpy(out.digest[out.n++].bytes, d.value, d.size);
        }
        *ret = out;
        return 0;
}

static int get_content(const struct tlv *t, struct event_record *ret)
{
        struct tlv name, data;
        size_t offset = 0;

        if (get_tlv(t->value, t->size, &offset, &name) < 0 || get_tlv(t->value, t->size, &offset, &data) < 0)
                return -EBADMSG;
        if (name.type != HOLDFAST_EVENT_NAME || data.type != HOLDFAST_EVENT_DATA || offset != t->size ||
            name.size >= sizeof(ret->name) || memchr(name.value, '\0', name.size))
                return -EBADMSG;
        memcpy(ret->name, name.value, name.size);
        ret->name[name.size] = '\0';
        ret->data = data.value;
        ret->data_size = data.size;
        ret->content = t->value;
        ret->content_size = t->size;
        return 0;
}

int event_log_next(const uint8_t *log, size_t size, size_t *offset, struct event_record *ret, struct error *e)
{
        struct event_record record = {};
        size_t at = *offset;
        struct tlv t[4] = {};

        if (at == size)
                return 0;
        for (size_t i = 0; i < ELEMENTSOF(t); i++)
                if (get_tlv(log, size, &at, &t[i]) < 0)
                        return error_set(e, -ENODATA, "event log: record at byte %zu is cut short", *offset);
        if (t[0].type != CEL_SEQUENCE || t[0].size != 8 || t[1].type != CEL_PCR || t[1].size != 4 ||
            t[2].type != CEL_DIGESTS || get_digests(&t[2], &record.digests) < 0 ||
            t[3].type != CEL_CONTENT_HOLDFAST || get_content(&t[3], &record) < 0)
                return error_set(e, -EBADMSG,
                                 "event log: a record expected at byte %zu, found something else", *offset);
        record.sequence = get_be(t[0].value, 8);
        record.pcr = (uint32_t)get_be(t[1].value, 4);
        *ret = record;
        *offset = at;
        return 1;
}

/* The record's SHA-256 digest when it is that of its content, else NULL. */
static const struct tpm_digest *checked_digest(const struct event_record *record)
{
        uint8_t found[32];

        if (EVP_Digest(record->content, record->content_size, found, NULL, EVP_sha256(), NULL) != 1)
                return NULL;
        for (size_t i = 0; i < record->digests.n; i++) {
                const struct tpm_digest *d = &record->digests.digest[i];

                if (d->algorithm == ALG_SHA256 && d->size == 32 && memcmp(d->bytes, found, 32) == 0)
                        return d;
        }
        return NULL;
}

int event_log_replay(const uint8_t *log, size_t size, uint8_t ret[static 32], struct error *e)
{
        uint8_t state[64] = {};
        size_t offset = 0;

        for (uint64_t expected = 0;; expected++) {
                const struct tpm_digest *d;
                struct event_record record = {};
                int r;

                r = event_log_next(log, size, &offset, &record, e);
                if (r < 0)
                        return r;
                if (r == 0)
                        break;
                if (record.sequence != expected)
                        return error_set(e, -EBADMSG, "event log: record %lu expected, found %lu",
                                         (unsigned long)expected, (unsigned long)record.sequence);
                d = checked_digest(&record);
                if (!d)
                        return error_set(e, -EBADMSG,
                                         "event log: record %lu: the digest of its content expected",
                                         (unsigned long)expected);
                memcpy(state + 32, d->bytes, 32);
                if (EVP_Digest(state, 64, state, NULL, EVP_sha256(), NULL) != 1)
                        return error_set(e, -EIO, "event log: hash failed");
        }
        memcpy(ret, state, 32);
        return 0;
}
