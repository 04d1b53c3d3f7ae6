/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "own-log.h"

#include <errno.h>
#include <string.h>

/* Every digest of a record is that of its content; no bank stands there twice. */
static bool digests_fit(const struct event_record *record)
{
        const struct tpm_digests *d = &record->digests;
        uint8_t found[PCR_DIGEST_MAX];

        for (size_t i = 0; i < d->n; i++) {
                if (pcr_hash(d->digest[i].algorithm, record->content, record->content_size, found) < 0 ||
                    d->digest[i].size != pcr_digest_size(d->digest[i].algorithm) ||
                    memcmp(found, d->digest[i].bytes, d->digest[i].size) != 0)
                        return false;
                for (size_t k = 0; k < i; k++)
                        if (d->digest[k].algorithm == d->digest[i].algorithm)
                                return false;
        }
        return true;
}

int own_log_check(const void *log, size_t size, unsigned *ret_pcr, struct error *e)
{
        struct event_record record = {};
        uint8_t value[32];
        uint32_t pcr = PCR_COUNT;
        size_t offset = 0;
        int r;

        r = event_log_replay(log, size, value, e);
        if (r < 0)
                return r == -EIO ? r : -EBADMSG;
        while ((r = event_log_next(log, size, &offset, &record, e)) > 0) {
                if (record.pcr >= PCR_COUNT || (pcr != PCR_COUNT && record.pcr != pcr))
                        return error_set(e, -EBADMSG, "event log: record %lu: PCR %u expected, found %u",
                                         (unsigned long)record.sequence, pcr, record.pcr);
                if (!digests_fit(&record))
                        return error_set(e, -EBADMSG,
                                         "event log: record %lu: the digests of its content expected",
                                         (unsigned long)record.sequence);
                pcr = record.pcr;
        }
        if (r < 0)
                return r;
        if (pcr == PCR_COUNT)
                return error_set(e, -EBADMSG, "event log: a record expected, found none");
        *ret_pcr = pcr;
        return 0;
}

int own_log_replay(const void *log, size_t size, struct pcr_bank *bank, struct error *e)
{
        struct event_record record = {};
        size_t offset = 0;
        int r;

        while ((r = event_log_next(log, size, &offset, &record, e)) > 0) {
                uint8_t digest[PCR_DIGEST_MAX];

                r = pcr_hash(bank->algorithm, record.content, record.content_size, digest);
                if (r >= 0)
                        r = pcr_bank_extend(bank, record.pcr, digest);
                if (r < 0)
                        return error_errno(e, r, "event log");
        }
        return r;
}
