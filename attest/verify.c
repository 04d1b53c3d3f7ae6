/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bindings of evidence, one after the other. */
#include <errno.h>
#include <string.h>

#include "attest/ima-log.h"
#include "attest/own-log.h"
#include "base/hex.h"
#include "tpm/attestation.h"
#include "tpm/nv.h"
#include "verified.h"

#define HOLDFAST_PCRS 0xffffu

struct verified_evidence *verified_evidence_free(struct verified_evidence *v)
{
        if (!v)
                return NULL;
        attestation_key_free(v->key);
        verified_quote_free(v->quote);
        free(v);
        return NULL;
}

/* A trusted key is known by its Name; one that came without a public area by its fingerprint. */
static bool is_trusted(const struct attestation_key *key, const struct evidence_demand *d)
{
        const uint8_t *id = attestation_key_name(key);
        size_t size = id ? TPM_NAME_SIZE : 32;
        uint8_t trusted[TPM_NAME_SIZE];

        if (!id)
                id = attestation_key_fingerprint(key);
        for (size_t i = 0; i < d->n_keys; i++)
                if (hex_decode(d->keys[i], trusted, size) == 0 && memcmp(trusted, id, size) == 0)
                        return true;
        return false;
}

/* Our own machines make their key from one template, and no other is taken from them. */
static int check_template(const struct evidence *ev, struct error *e)
{
        struct tpm_public area;
        int r = tpm_public_parse(ev->key.bytes, ev->key.size, &area, e);

        return r < 0 ? r : tpm_ak_check(&area, e);
}

static int verify_key(struct verified_evidence *v, const struct evidence_demand *d, struct error *e)
{
        const struct evidence *ev = v->evidence;
        int r;

        if (ev->key.bytes)
                r = attestation_key_from_public(ev->key.bytes, ev->key.size, &v->key, e);
        else
                r = attestation_key_from_spki(ev->key_spki.bytes, ev->key_spki.size, &v->key, e);
        if (r >= 0 && ev->kind == EVIDENCE_HOLDFAST)
                r = check_template(ev, e);
        if (r < 0)
                return error_prefix(e, r, "key");
        if (!is_trusted(v->key, d))
                return error_set(e, -ENOKEY, "key: one of the %zu trusted ones expected, found another one",
                                 d->n_keys);
        return 0;
}

static int verify_counter(struct verified_evidence *v, const struct statement_demand *d, struct error *e)
{
        const struct evidence *ev = v->evidence;
        const struct statement s = {
                .attest = ev->counter.bytes,
                .attest_size = ev->counter.size,
                .signature = ev->counter_signature.bytes,
                .signature_size = ev->counter_signature.size,
        };
        const struct statement_clock *quoted = verified_quote_clock(v->quote);
        struct statement_clock clock;
        uint8_t name[TPM_NAME_SIZE];
        int r;

        if (!ev->counter.bytes)
                return 0;
        r = tpm_nv_counter_name(TPM_NV_COUNTER, name, e);
        if (r >= 0)
                r = counter_verify(&s, v->key, d, name, sizeof(name), &v->counter, &clock, e);
        if (r < 0)
                return error_prefix(e, r, "counter");
        if (clock.resets != quoted->resets)
                return error_set(e, -EPERM,
                                 "counter: certified in the boot of the quote (%u) expected, found %u",
                                 quoted->resets, clock.resets);
        return 0;
}

static int verify_quote(struct verified_evidence *v, const struct evidence_demand *d, struct error *e)
{
        const struct evidence *ev = v->evidence;
        const struct statement s = {
                .attest = ev->quote.bytes,
                .attest_size = ev->quote.size,
                .signature = ev->quote_signature.bytes,
                .signature_size = ev->quote_signature.size,
        };
        uint32_t pcrs = ev->kind == EVIDENCE_HOLDFAST ? HOLDFAST_PCRS : d->pcrs;

        if (ev->kind == EVIDENCE_HOLDFAST && ev->values.algorithm != PCR_SHA256)
                return error_set(e, -EPERM, "selection: the SHA-256 bank expected, found %s",
                                 pcr_algorithm_name(ev->values.algorithm));
        if (!pcrs)
                return error_set(e, -EPERM, "selection: the policy names no PCRs of machines of kind tpm");
        if (ev->values.extended != pcrs)
                return error_set(e, -EPERM, "selection: values of PCRs 0x%06x expected, found 0x%06x", pcrs,
                                 ev->values.extended);
        return quote_verify(&s, v->key, &d->statement, &ev->values, pcrs, &v->quote, e);
}

/* Each PCR of the mask has the value that the logs give. */
static int compare(const struct verified_evidence *v, const struct pcr_bank *replayed, uint32_t mask,
                   const char *log, struct error *e)
{
        for (unsigned i = 0; i < PCR_COUNT; i++) {
                const uint8_t *quoted = verified_quote_pcr(v->quote, i);

                if (!(mask & 1u << i))
                        continue;
                if (!quoted)
                        return error_set(e, -EPERM, "%s: PCR %u is in it but was not quoted", log, i);
                if (memcmp(quoted, replayed->value[i], replayed->size) != 0)
                        return error_set(e, -EPERM, "%s: its replay does not give the quoted value of PCR %u",
                                         log, i);
        }
        return 0;
}

/* Of our own machines the firmware log tells all of PCRs 0 to 9, 11 and 12; of others those that it extends.
 */
static int verify_firmware_log(struct verified_evidence *v, struct error *e)
{
        const struct evidence *ev = v->evidence;
        const struct evidence_part *log = &ev->firmware_log;
        struct pcr_bank bank;
        int r;

        if (!log->bytes)
                return ev->kind == EVIDENCE_HOLDFAST
                               ? error_set(e, -EPERM, "firmware log: expected, found none")
                               : 0;
        r = firmware_log_replay(log->bytes, log->size, ev->values.algorithm, &bank, e);
        if (r >= 0)
                r = compare(v, &bank, ev->kind == EVIDENCE_HOLDFAST ? bank.extended | 0x1bffu : bank.extended,
                            "firmware log", e);
        if (r >= 0)
                r = firmware_log_check(log->bytes, log->size, ev->values.algorithm, &v->firmware, e);
        return r;
}

static int verify_ima_log(const struct verified_evidence *v, struct error *e)
{
        const struct evidence *ev = v->evidence;
        const struct evidence_part *log = &ev->ima_log;
        struct pcr_bank bank;
        int r;

        if (!log->bytes)
                return ev->kind == EVIDENCE_HOLDFAST ? error_set(e, -EPERM, "IMA log: expected, found none")
                                                     : 0;
        r = pcr_bank_start(&bank, ev->values.algorithm);
        if (r >= 0)
                r = ima_log_replay(log->bytes, log->size, &bank, e);
        if (r < 0)
                return r;
        if (bank.extended & ~(1u << 10))
                return error_set(e, -EPERM, "IMA log: PCR 10 expected, found others");
        return compare(v, &bank, 1u << 10, "IMA log", e);
}

/* PCRs 13 to 15 have a log each, or are what they were at power-on. */
static int verify_own_logs(const struct verified_evidence *v, struct error *e)
{
        const struct evidence *ev = v->evidence;
        struct pcr_bank bank;
        unsigned pcr;
        int r;

        r = pcr_bank_start(&bank, PCR_SHA256);
        if (r < 0)
                return r;
        for (size_t i = 0; i < ev->n_logs; i++) {
                r = own_log_check(ev->logs[i].bytes, ev->logs[i].size, &pcr, e);
                if (r < 0)
                        return r;
                if (pcr < 13 || pcr > 15 || bank.extended & 1u << pcr)
                        return error_set(
                                e, -EPERM,
                                "event log: one for each of the PCRs 13 to 15 expected, found PCR %u", pcr);
                r = own_log_replay(ev->logs[i].bytes, ev->logs[i].size, &bank, e);
                if (r < 0)
                        return r;
        }
        return compare(v, &bank, 7u << 13, "event log", e);
}

int evidence_verify(const struct evidence *ev, const struct evidence_demand *demand,
                    struct verified_evidence **ret, struct error *e)
{
        _cleanup_(verified_evidence_free_ptr) struct verified_evidence *v = calloc(1, sizeof(*v));
        int r;

        if (!v)
                return -ENOMEM;
        v->evidence = ev;
        if ((r = verify_key(v, demand, e)) < 0 || (r = verify_quote(v, demand, e)) < 0 ||
            (r = verify_counter(v, &demand->statement, e)) < 0 || (r = verify_firmware_log(v, e)) < 0 ||
            (r = verify_ima_log(v, e)) < 0)
                return r;
        if (ev->kind == EVIDENCE_HOLDFAST && (r = verify_own_logs(v, e)) < 0)
                return r;
        *ret = TAKE_PTR(v);
        return 0;
}
