/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading and replaying a firmware log. */
#include "firmware-log.h"

#include <errno.h>
#include <string.h>

#include "attest/slice.h"

#define HEADER_SIZE 32u /* TCG_PCR_EVENT without its data */

static const char spec_id[16] = "Spec ID Event03";
static const char startup_locality[16] = "StartupLocality";

/* TCG_EfiSpecIDEvent (PFP section 10.4.5.1): signature 16, class 4, minor, major, errata, uintn size, number
 * of algorithms 4, algorithms of 4 bytes each, vendor information with a length of one byte. */
static int read_spec_id(struct firmware_log *l, const struct firmware_event *ev, struct error *e)
{
        const uint8_t *p = ev->data;
        uint32_t n;

        if (ev->data_size < 29)
                return error_set(e, -EBADMSG, "firmware log: a Spec ID event of 29 bytes expected, found %zu",
                                 ev->data_size);
        if (p[21] != 2 || p[20] != 0)
                return error_set(e, -EBADMSG, "firmware log: specification 2.0 expected, found %u.%u", p[21],
                                 p[20]);
        n = get_le32(p + 24);
        if (n == 0 || n > FIRMWARE_BANKS_MAX)
                return error_set(e, -EBADMSG, "firmware log: 1 to %u algorithms expected, found %u",
                                 FIRMWARE_BANKS_MAX, n);
        if (ev->data_size < 29 + 4 * (size_t)n || ev->data_size != 29 + 4 * (size_t)n + p[28 + 4 * n])
                return error_set(e, -EBADMSG,
                                 "firmware log: the Spec ID event has another size than its fields");
        for (uint32_t i = 0; i < n; i++) {
                struct firmware_digest *d = &l->banks[i];
                size_t known;

                *d = (struct firmware_digest){.algorithm = get_le16(p + 28 + 4 * i),
                                              .size = get_le16(p + 30 + 4 * i)};
                known = pcr_digest_size(d->algorithm);
                if (d->size == 0 || d->size > PCR_DIGEST_MAX || (known && known != d->size))
                        return error_set(e, -EBADMSG,
                                         "firmware log: algorithm 0x%04x: digests of %zu bytes expected, "
                                         "found %u",
                                         d->algorithm, known, d->size);
                for (uint32_t j = 0; j < i; j++)
                        if (l->banks[j].algorithm == d->algorithm)
                                return error_set(e, -EBADMSG,
                                                 "firmware log: algorithm 0x%04x stands there twice",
                                                 d->algorithm);
        }
        l->n_banks = n;
        l->agile = true;
        return 0;
}

/* A TCG_PCR_EVENT: PCR, type, SHA-1 digest, size, data. */
static int read_sha1_event(struct firmware_log *l, struct firmware_event *ret, struct error *e)
{
        const uint8_t *p = l->bytes + l->next;
        size_t left = l->size - l->next;
        uint32_t n;

        if (left < HEADER_SIZE)
                return error_set(e, -EBADMSG, "firmware log: event %u is cut short", l->number);
        n = get_le32(p + 28);
        if (n > left - HEADER_SIZE)
                return error_set(e, -EBADMSG,
                                 "firmware log: event %u: at most %zu bytes of data expected, found %u",
                                 l->number, left - HEADER_SIZE, n);
        *ret = (struct firmware_event){
                .number = l->number,
                .offset = l->next,
                .pcr = get_le32(p),
                .type = get_le32(p + 4),
                .digests = {{PCR_SHA1, 20, p + 8}},
                .n_digests = 1,
                .data = p + HEADER_SIZE,
                .data_size = n,
        };
        l->next += HEADER_SIZE + n;
        return 1;
}

int firmware_log_open(const void *log, size_t size, struct firmware_log *ret, struct error *e)
{
        struct firmware_log l = {.bytes = log, .size = size};
        struct firmware_event first = {};
        int r;

        if (size > FIRMWARE_LOG_MAX)
                return error_set(e, -EFBIG, "firmware log: at most %zu bytes expected, found %zu",
                                 FIRMWARE_LOG_MAX, size);
        r = read_sha1_event(&l, &first, e);
        if (r < 0)
                return r;
        if (first.type == EV_NO_ACTION && first.data_size >= sizeof(spec_id) &&
            memcmp(first.data, spec_id, sizeof(spec_id)) == 0) {
                if ((r = read_spec_id(&l, &first, e)) < 0)
                        return r;
        } else {
                l.banks[0] = (struct firmware_digest){.algorithm = PCR_SHA1, .size = 20};
                l.n_banks = 1;
        }
        l.next = 0;
        *ret = l;
        return 0;
}

static const struct firmware_digest *find_bank(const struct firmware_log *l, uint16_t algorithm)
{
        for (size_t i = 0; i < l->n_banks; i++)
                if (l->banks[i].algorithm == algorithm)
                        return &l->banks[i];
        return NULL;
}

/* TPML_DIGEST_VALUES: at most one digest for each bank of the header. Moves *offset behind it. */
static int read_digests(const struct firmware_log *l, size_t *offset, struct firmware_event *ev,
                        struct error *e)
{
        uint32_t n = get_le32(l->bytes + *offset);

        *offset += 4;
        if (n == 0 || n > l->n_banks)
                return error_set(e, -EBADMSG, "firmware log: event %u: 1 to %zu digests expected, found %u",
                                 ev->number, l->n_banks, n);
        for (uint32_t i = 0; i < n; i++) {
                const struct firmware_digest *bank;
                uint16_t algorithm;

                if (l->size - *offset < 2)
                        return error_set(e, -EBADMSG, "firmware log: event %u is cut short", ev->number);
                algorithm = get_le16(l->bytes + *offset);
                bank = find_bank(l, algorithm);
                *offset += 2;
                if (!bank || firmware_event_digest(ev, algorithm))
                        return error_set(
                                e, -EBADMSG,
                                "firmware log: event %u: digests of the header's algorithms expected, "
                                "found 0x%04x",
                                ev->number, algorithm);
                if (l->size - *offset < bank->size)
                        return error_set(e, -EBADMSG, "firmware log: event %u is cut short", ev->number);
                ev->digests[ev->n_digests++] =
                        (struct firmware_digest){algorithm, bank->size, l->bytes + *offset};
                *offset += bank->size;
        }
        return 0;
}

/* A TCG_PCR_EVENT2: PCR, type, digests, size, data. */
static int read_event2(struct firmware_log *l, struct firmware_event *ret, struct error *e)
{
        size_t at = l->next;
        struct firmware_event ev = {.number = l->number, .offset = at};
        uint32_t n;
        int r;

        if (l->size - at < 12)
                return error_set(e, -EBADMSG, "firmware log: event %u is cut short", l->number);
        ev.pcr = get_le32(l->bytes + at);
        ev.type = get_le32(l->bytes + at + 4);
        at += 8;
        r = read_digests(l, &at, &ev, e);
        if (r < 0)
                return r;
        if (l->size - at < 4)
                return error_set(e, -EBADMSG, "firmware log: event %u is cut short", l->number);
        n = get_le32(l->bytes + at);
        at += 4;
        if (n > l->size - at)
                return error_set(e, -EBADMSG,
                                 "firmware log: event %u: at most %zu bytes of data expected, found %u",
                                 l->number, l->size - at, n);
        ev.data = l->bytes + at;
        ev.data_size = n;
        l->next = at + n;
        *ret = ev;
        return 1;
}

/* Whether the rest is the unused room of the table that the log lay in. */
static bool is_padding(const uint8_t *p, size_t n)
{
        return (p[0] == 0 || p[0] == 0xff) && memcmp(p, p + 1, n - 1) == 0;
}

int firmware_log_next(struct firmware_log *l, struct firmware_event *ret, struct error *e)
{
        int r;

        if (l->next == l->size || (l->number > 0 && is_padding(l->bytes + l->next, l->size - l->next)))
                return 0;
        if (l->number >= FIRMWARE_EVENTS_MAX)
                return error_set(e, -EBADMSG, "firmware log: at most %u events expected",
                                 FIRMWARE_EVENTS_MAX);
        r = l->agile && l->number > 0 ? read_event2(l, ret, e) : read_sha1_event(l, ret, e);
        if (r < 0)
                return r;
        if (ret->pcr >= PCR_COUNT && !(ret->pcr == UINT32_MAX && ret->type == EV_NO_ACTION))
                return error_set(e, -EBADMSG, "firmware log: event %u: a PCR below %u expected, found %u",
                                 ret->number, PCR_COUNT, ret->pcr);
        l->number++;
        return 1;
}

const uint8_t *firmware_event_digest(const struct firmware_event *ev, uint16_t algorithm)
{
        for (size_t i = 0; i < ev->n_digests; i++)
                if (ev->digests[i].algorithm == algorithm)
                        return ev->digests[i].bytes;
        return NULL;
}

int firmware_event_locality(const struct firmware_event *ev, uint8_t *ret)
{
        uint8_t locality;

        if (ev->type != EV_NO_ACTION || ev->data_size < sizeof(startup_locality) ||
            memcmp(ev->data, startup_locality, sizeof(startup_locality)) != 0)
                return -ENOENT;
        if (ev->data_size != sizeof(startup_locality) + 1)
                return -EBADMSG;
        locality = ev->data[sizeof(startup_locality)];
        if (locality != 0 && locality != 3 && locality != 4)
                return -EBADMSG;
        *ret = locality;
        return 0;
}

/* A StartupLocality event tells PCR 0's first value, so nothing may have been extended to it before. */
static int start_at_locality(struct pcr_bank *bank, const struct firmware_event *ev, struct error *e)
{
        uint8_t locality;
        int r = firmware_event_locality(ev, &locality);

        if (r == -ENOENT)
                return 0;
        if (r < 0 || ev->pcr != 0 || bank->extended & 1)
                return error_set(e, -EBADMSG,
                                 "firmware log: event %u: a StartupLocality event of 0, 3 or 4, once, "
                                 "before PCR 0 is extended, expected",
                                 ev->number);
        pcr_bank_set_locality(bank, locality);
        return 0;
}

int firmware_log_replay(const void *log, size_t size, uint16_t algorithm, struct pcr_bank *ret,
                        struct error *e)
{
        struct firmware_event ev = {};
        struct firmware_log l;
        int r;

        r = firmware_log_open(log, size, &l, e);
        if (r < 0)
                return r;
        if (!find_bank(&l, algorithm) || pcr_bank_start(ret, algorithm) < 0)
                return error_set(e, -ENOTSUP, "firmware log: it has no %s bank",
                                 pcr_algorithm_name(algorithm) ?: "such");
        while ((r = firmware_log_next(&l, &ev, e)) > 0) {
                const uint8_t *digest = firmware_event_digest(&ev, algorithm);

                if (ev.type == EV_NO_ACTION)
                        r = start_at_locality(ret, &ev, e);
                else if (digest)
                        r = pcr_bank_extend(ret, ev.pcr, digest);
                else
                        r = error_set(e, -EBADMSG, "firmware log: event %u: a %s digest expected, found none",
                                      ev.number, pcr_algorithm_name(algorithm));
                if (r < 0)
                        return r;
        }
        return r;
}
