/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The JSON form of evidence. */
#include "evidence.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "attest/firmware-log.h"
#include "attest/ima-log.h"
#include "base/hex.h"
#include "base/json.h"
#include "trust/trust.h"

#define OWN_LOG_MAX ((size_t)4 * 1024 * 1024)

/* The members that are Base64, where they go, and how large they may be. */
static const struct member {
        const char *name;
        size_t offset, max;
        bool required;
} members[] = {
        {"quote", offsetof(struct evidence, quote), QUOTE_PART_MAX, true},
        {"quote_signature", offsetof(struct evidence, quote_signature), QUOTE_PART_MAX, true},
        {"counter", offsetof(struct evidence, counter), QUOTE_PART_MAX, false},
        {"counter_signature", offsetof(struct evidence, counter_signature), QUOTE_PART_MAX, false},
        {"key", offsetof(struct evidence, key), QUOTE_PART_MAX, false},
        {"key_spki", offsetof(struct evidence, key_spki), QUOTE_PART_MAX, false},
        {"ek_certificate", offsetof(struct evidence, ek_certificate), 8192, false},
        {"firmware_log", offsetof(struct evidence, firmware_log), FIRMWARE_LOG_MAX, false},
        {"ima_log", offsetof(struct evidence, ima_log), IMA_LOG_MAX, false},
        {"manifest", offsetof(struct evidence, manifest), TRUST_ATTACHED_MAX, false},
};

static const char *const kinds[] = {[EVIDENCE_HOLDFAST] = "holdfast", [EVIDENCE_TPM] = "tpm"};

static struct evidence_part *part_of(struct evidence *ev, const struct member *m)
{
        return (struct evidence_part *)((char *)ev + m->offset);
}

void evidence_done(struct evidence *ev)
{
        for (size_t i = 0; i < ELEMENTSOF(members); i++)
                free(part_of(ev, &members[i])->bytes);
        for (size_t i = 0; i < ev->n_logs; i++)
                free(ev->logs[i].bytes);
}

static int take_part(sd_json_variant *v, const char *name, size_t max, struct evidence_part *ret,
                     struct error *e)
{
        struct evidence_part part = {};
        void *bytes = NULL;

        if (sd_json_variant_unbase64(v, &bytes, &part.size) < 0)
                return error_set(e, -EBADMSG, "evidence: %s: Base64 expected", name);
        part.bytes = bytes;
        if (part.size == 0 || part.size > max) {
                free(bytes);
                return error_set(e, -EBADMSG, "evidence: %s: 1 to %zu bytes expected, found %zu", name, max,
                                 part.size);
        }
        *ret = part;
        return 0;
}

static int take_logs(sd_json_variant *v, struct evidence *ev, struct error *e)
{
        size_t n = sd_json_variant_elements(v);
        int r = 0;

        if (!sd_json_variant_is_array(v) || n > EVIDENCE_LOGS_MAX)
                return error_set(e, -EBADMSG, "evidence: logs: at most %u expected", EVIDENCE_LOGS_MAX);
        for (size_t i = 0; r >= 0 && i < n; i++) {
                r = take_part(sd_json_variant_by_index(v, i), "logs", OWN_LOG_MAX, &ev->logs[i], e);
                ev->n_logs += r >= 0;
        }
        return r;
}

/* {"0": HEX, …} with the values of one bank. */
static int take_values(sd_json_variant *v, struct pcr_bank *bank, struct error *e)
{
        for (size_t i = 0; i + 1 < sd_json_variant_elements(v); i += 2) {
                const char *name = sd_json_variant_string(sd_json_variant_by_index(v, i));
                const char *hex = sd_json_variant_string(sd_json_variant_by_index(v, i + 1));
                char canonical[4];
                unsigned pcr = PCR_COUNT;

                for (unsigned k = 0; k < PCR_COUNT; k++) {
                        (void)snprintf(canonical, sizeof(canonical), "%u", k);
                        if (strcmp(canonical, name) == 0)
                                pcr = k;
                }
                if (pcr == PCR_COUNT || bank->extended & 1u << pcr || !hex ||
                    hex_decode(hex, bank->value[pcr], bank->size) < 0)
                        return error_set(e, -EBADMSG,
                                         "evidence: pcrs: PCR numbers with %u bytes in hexadecimal expected",
                                         bank->size);
                bank->extended |= 1u << pcr;
        }
        return 0;
}

static int take_member(sd_json_variant *v, const char *name, struct evidence *ev, struct error *e)
{
        for (size_t i = 0; i < ELEMENTSOF(members); i++) {
                if (strcmp(members[i].name, name) != 0)
                        continue;
                return take_part(v, name, members[i].max, part_of(ev, &members[i]), e);
        }
        if (strcmp(name, "logs") == 0)
                return take_logs(v, ev, e);
        if (strcmp(name, "version") == 0 || strcmp(name, "kind") == 0 || strcmp(name, "algorithm") == 0 ||
            strcmp(name, "pcrs") == 0)
                return 0;
        return error_set(e, -EBADMSG, "evidence: a field that version 1 has expected, found another one");
}

/* Version, kind, bank and values. */
static int take_head(sd_json_variant *v, struct evidence *ev, struct error *e)
{
        const char *kind, *algorithm;
        sd_json_variant *pcrs;
        uint64_t version;
        int r;

        if (!sd_json_variant_is_object(v))
                return error_set(e, -EBADMSG, "evidence: an object expected");
        if ((r = json_unsigned(v, "evidence", "version", UINT32_MAX, &version, e)) < 0 ||
            (r = json_string(v, "evidence", "kind", &kind, e)) < 0 ||
            (r = json_string(v, "evidence", "algorithm", &algorithm, e)) < 0 ||
            (r = json_object(v, "evidence", "pcrs", &pcrs, e)) < 0)
                return -EBADMSG;
        if (version != 1)
                return error_set(e, -EBADMSG, "evidence: version 1 expected, found %lu",
                                 (unsigned long)version);
        if (strcmp(kind, kinds[EVIDENCE_HOLDFAST]) != 0 && strcmp(kind, kinds[EVIDENCE_TPM]) != 0)
                return error_set(e, -EBADMSG, "evidence: kind: holdfast or tpm expected");
        ev->kind = strcmp(kind, kinds[EVIDENCE_TPM]) == 0 ? EVIDENCE_TPM : EVIDENCE_HOLDFAST;
        ev->values.algorithm = pcr_algorithm_from_name(algorithm);
        ev->values.size = (uint16_t)pcr_digest_size(ev->values.algorithm);
        if (!ev->values.size)
                return error_set(e, -EBADMSG, "evidence: algorithm: a PCR bank expected");
        return take_values(pcrs, &ev->values, e);
}

static int check_required(struct evidence *ev, struct error *e)
{
        for (size_t i = 0; i < ELEMENTSOF(members); i++)
                if (members[i].required && !part_of(ev, &members[i])->bytes)
                        return error_set(e, -EBADMSG, "evidence: %s expected, found none", members[i].name);
        if (!ev->key.bytes == !ev->key_spki.bytes || (ev->kind == EVIDENCE_HOLDFAST && !ev->key.bytes))
                return error_set(e, -EBADMSG, "evidence: one attestation key expected");
        if (ev->kind == EVIDENCE_TPM && (ev->n_logs || ev->counter.bytes || ev->manifest.bytes))
                return error_set(e, -EBADMSG,
                                 "evidence: logs, counter and manifest belong to the kind holdfast alone");
        if (!ev->counter.bytes != !ev->counter_signature.bytes)
                return error_set(e, -EBADMSG, "evidence: a counter with its signature expected");
        return 0;
}

int evidence_parse(const char *text, size_t size, struct evidence *ret, struct error *e)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        _cleanup_evidence_ struct evidence ev = {};
        int r;

        if (size > EVIDENCE_MAX || strlen(text) != size)
                return error_set(e, -EBADMSG, "evidence: a text of at most %zu bytes expected", EVIDENCE_MAX);
        if (json_parse("evidence", text, &v, e) < 0)
                return -EBADMSG;
        r = take_head(v, &ev, e);
        for (size_t i = 0; r >= 0 && i + 1 < sd_json_variant_elements(v); i += 2) {
                const char *name = sd_json_variant_string(sd_json_variant_by_index(v, i));
                sd_json_variant *value = sd_json_variant_by_index(v, i + 1);

                if (sd_json_variant_by_key(v, name) == value)
                        r = take_member(value, name, &ev, e);
                else
                        r = error_set(e, -EBADMSG, "evidence: each field once expected, found one twice");
        }
        if (r >= 0)
                r = check_required(&ev, e);
        if (r < 0)
                return r;
        *ret = ev;
        ev = (struct evidence){};
        return 0;
}

static int put_values(const struct pcr_bank *bank, sd_json_variant **v)
{
        _cleanup_json_ sd_json_variant *values = NULL;

        for (unsigned i = 0; i < PCR_COUNT; i++) {
                char name[4];
                int r;

                if (!(bank->extended & 1u << i))
                        continue;
                (void)snprintf(name, sizeof(name), "%u", i);
                r = sd_json_variant_set_fieldb(&values, name, SD_JSON_BUILD_HEX(bank->value[i], bank->size));
                if (r < 0)
                        return r;
        }
        return sd_json_variant_set_field(v, "pcrs", values);
}

static int put_parts(const struct evidence *ev, sd_json_variant **v)
{
        _cleanup_json_ sd_json_variant *logs = NULL;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(members); i++) {
                const struct evidence_part *p = part_of((struct evidence *)ev, &members[i]);

                if (p->bytes)
                        r = sd_json_variant_set_fieldb(v, members[i].name,
                                                       SD_JSON_BUILD_BASE64(p->bytes, p->size));
        }
        for (size_t i = 0; r >= 0 && i < ev->n_logs; i++)
                r = sd_json_variant_append_arrayb(&logs,
                                                  SD_JSON_BUILD_BASE64(ev->logs[i].bytes, ev->logs[i].size));
        return r >= 0 && logs ? sd_json_variant_set_field(v, "logs", logs) : r;
}

int evidence_format(const struct evidence *ev, char **ret, struct error *e)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        int r;

        r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_UNSIGNED("version", 1),
                           SD_JSON_BUILD_PAIR_STRING("kind", kinds[ev->kind]),
                           SD_JSON_BUILD_PAIR_STRING("algorithm", pcr_algorithm_name(ev->values.algorithm)));
        if (r >= 0)
                r = put_values(&ev->values, &v);
        if (r >= 0)
                r = put_parts(ev, &v);
        if (r >= 0)
                r = sd_json_variant_format(v, SD_JSON_FORMAT_NEWLINE, ret);
        return r < 0 ? error_errno(e, r, "evidence") : 0;
}
