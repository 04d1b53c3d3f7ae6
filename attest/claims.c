/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What verified evidence says. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "attest/ima-log.h"
#include "base/escape.h"
#include "base/hex.h"
#include "base/json.h"
#include "tpm/event-log.h"
#include "trust/trust.h"
#include "verified.h"

#define PCR_OSGUARD 14u
#define PCR_MACHINE 15u

void claims_done(struct claims *c)
{
        for (size_t i = 0; i < c->n; i++)
                sd_json_variant_unref(c->items[i].value);
}

const struct claim *claims_find(const struct claims *c, const char *name)
{
        for (size_t i = 0; i < c->n; i++)
                if (strcmp(c->items[i].name, name) == 0)
                        return &c->items[i];
        return NULL;
}

/* Adds a claim; the value is taken over, also on failure. */
static int add(struct claims *c, const char *name, sd_json_variant *value, const char *source)
{
        struct claim *claim;

        if (c->n == CLAIMS_MAX || strlen(name) >= sizeof(claim->name) || claims_find(c, name)) {
                sd_json_variant_unref(value);
                return -EBADMSG;
        }
        claim = &c->items[c->n++];
        (void)stpcpy(claim->name, name);
        (void)snprintf(claim->source, sizeof(claim->source), "%s", source);
        claim->value = value;
        return 0;
}

static int add_boolean(struct claims *c, const char *name, bool value, const char *source)
{
        sd_json_variant *v = NULL;
        int r = sd_json_variant_new_boolean(&v, value);

        return r < 0 ? r : add(c, name, v, source);
}

static int add_unsigned(struct claims *c, const char *name, uint64_t value, const char *source)
{
        sd_json_variant *v = NULL;
        int r = sd_json_variant_new_unsigned(&v, value);

        return r < 0 ? r : add(c, name, v, source);
}

/* Text of an event: what is not printable becomes \xHH. -EBADMSG if a NUL is in it. */
static int make_text(const void *data, size_t size, sd_json_variant **ret)
{
        _cleanup_free_ char *text = strndup(data, size), *safe = text ? escape_text(text) : NULL;

        if (!safe)
                return -ENOMEM;
        return strlen(text) == size ? sd_json_variant_new_string(ret, safe) : -EBADMSG;
}

static int add_text(struct claims *c, const char *name, const void *data, size_t size, const char *source)
{
        sd_json_variant *v = NULL;
        int r = make_text(data, size, &v);

        return r < 0 ? r : add(c, name, v, source);
}

static int add_hex(struct claims *c, const char *name, const void *data, size_t size, const char *source)
{
        char hex[2 * PCR_DIGEST_MAX + 1];

        hex_encode(data, size, hex);
        return add_text(c, name, hex, 2 * size, source);
}

/* A list: empty where nothing was put in. */
static int add_list(struct claims *c, const char *name, sd_json_variant *list, const char *source)
{
        sd_json_variant *v = list ? sd_json_variant_ref(list) : NULL;
        int r = v ? 0 : sd_json_variant_new_array(&v, NULL, 0);

        return r < 0 ? r : add(c, name, v, source);
}

static int append_hex(sd_json_variant **list, const void *data, size_t size)
{
        return sd_json_variant_append_arrayb(list, SD_JSON_BUILD_HEX(data, size));
}

static int claim_quote(const struct verified_evidence *v, struct claims *c)
{
        const struct statement_clock *clock = verified_quote_clock(v->quote);
        int r;

        if ((r = add_unsigned(c, "tpm-resets", clock->resets, "quote: resetCount")) < 0 ||
            (r = add_unsigned(c, "tpm-restarts", clock->restarts, "quote: restartCount")) < 0 ||
            (r = add_boolean(c, "tpm-clock-safe", clock->safe, "quote: safe")) < 0 ||
            (r = add_unsigned(c, "tpm-firmware", clock->firmware_version, "quote: firmwareVersion")) < 0)
                return r;
        for (unsigned i = 0; r >= 0 && i < PCR_COUNT; i++) {
                const uint8_t *value = verified_quote_pcr(v->quote, i);
                char name[8];

                (void)snprintf(name, sizeof(name), "pcr%u", i);
                if (value)
                        r = add_hex(c, name, value, pcr_digest_size(verified_quote_algorithm(v->quote)),
                                    "quote: PCR");
        }
        if (r >= 0 && v->evidence->counter.bytes)
                r = add_unsigned(c, "counter", v->counter, "certified NV index");
        return r;
}

/* Certificates of db that what was started is signed under: EFI_SIGNATURE_DATA, an owner's GUID before it. */
static int list_authorities(const struct firmware_claims *f, sd_json_variant **ret)
{
        for (size_t i = 0; i < f->n_authorities; i++) {
                const struct firmware_variable *var = &f->authorities[i].variable;
                uint8_t digest[32];
                int r;

                if (strcmp(var->name, "db") != 0 || var->size <= 16)
                        continue;
                r = trust_sha256(var->value + 16, var->size - 16, digest);
                if (r >= 0)
                        r = append_hex(ret, digest, sizeof(digest));
                if (r < 0)
                        return r;
        }
        return 0;
}

static int claim_firmware(const struct verified_evidence *v, struct claims *c)
{
        _cleanup_json_ sd_json_variant *authorities = NULL, *applications = NULL;
        const struct firmware_claims *f = &v->firmware;
        int r;

        if (!v->evidence->firmware_log.bytes)
                return 0;
        if ((r = add_boolean(c, "secure-boot", f->secure_boot, "firmware log: SecureBoot in PCR 7")) < 0 ||
            (r = add_boolean(c, "boot-services-exited", f->boot_services_exited,
                             "firmware log: action in PCR 5")) < 0 ||
            (r = list_authorities(f, &authorities)) < 0 ||
            (r = add_list(c, "boot-authorities", authorities, "firmware log: certificates of db in PCR 7")) <
                    0)
                return r;
        for (size_t i = 0; r >= 0 && i < f->n_applications; i++)
                r = append_hex(&applications, f->applications[i].digest.bytes,
                               f->applications[i].digest.size);
        return r < 0 ? r : add_list(c, "applications", applications, "firmware log: applications in PCR 4");
}

static int append_text(sd_json_variant **list, const void *data, size_t size)
{
        _cleanup_json_ sd_json_variant *v = NULL;
        int r = make_text(data, size, &v);

        return r < 0 ? r : sd_json_variant_append_array(list, v);
}

struct ima_counts {
        uint64_t violations, entries, other_tables;
        sd_json_variant *roots, *policies;
};

static int count_ima(const struct ima_entry *entry, struct ima_counts *n, struct error *e)
{
        struct ima_table table = {};
        int r;

        n->entries++;
        n->violations += entry->violation;
        if (entry->violation || !entry->buffer)
                return 0;
        if (strcmp(entry->name, "selinux-policy-hash") == 0)
                return append_hex(&n->policies, entry->buffer, entry->buffer_size);
        r = ima_table_parse(entry, &table, e);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;
        n->other_tables += table.root_digest_size == 0;
        return table.root_digest_size ? append_hex(&n->roots, table.root_digest, table.root_digest_size) : 0;
}

static int claim_ima(const struct verified_evidence *v, struct claims *c, struct error *e)
{
        const struct evidence_part *log = &v->evidence->ima_log;
        struct ima_entry entry = {};
        struct ima_counts n = {};
        size_t offset = 0;
        uint32_t number = 0;
        int r = 0;

        if (!log->bytes)
                return 0;
        while (r >= 0 && (r = ima_log_next(log->bytes, log->size, &offset, number++, &entry, e)) > 0)
                r = count_ima(&entry, &n, e);
        if (r >= 0)
                r = add_unsigned(c, "ima-entries", n.entries, "IMA log");
        if (r >= 0)
                r = add_unsigned(c, "ima-violations", n.violations, "IMA log");
        if (r >= 0)
                r = add_unsigned(c, "other-tables", n.other_tables,
                                 "IMA log: dm_table_load without dm-verity");
        if (r >= 0)
                r = add_list(c, "verity-roots", n.roots, "IMA log: dm_table_load");
        if (r >= 0)
                r = add_list(c, "kernel-selinux-policy", n.policies, "IMA log: selinux-policy-hash");
        sd_json_variant_unref(n.roots);
        sd_json_variant_unref(n.policies);
        return r;
}

/* image.json, as it was measured. */
static int claim_image(const struct event_record *record, const char *source, struct claims *c,
                       struct error *e)
{
        _cleanup_free_ char *text = strndup((const char *)record->data, record->data_size);
        _cleanup_json_ sd_json_variant *image = NULL;
        uint64_t security_version;
        const char *variant;
        uint8_t digest[32];
        int r;

        if (!text)
                return -ENOMEM;
        if ((r = json_parse("image.json", text, &image, e)) < 0 ||
            (r = json_string(image, "image.json", "variant", &variant, e)) < 0 ||
            (r = json_unsigned(image, "image.json", "security_version", UINT64_MAX, &security_version, e)) <
                    0 ||
            (r = trust_sha256(record->data, record->data_size, digest)) < 0)
                return r;
        r = add_hex(c, "image-sha256", digest, sizeof(digest), source);
        if (r >= 0)
                r = add_text(c, "variant", variant, strlen(variant), source);
        return r < 0 ? r : add_unsigned(c, "security-version", security_version, source);
}

/* The events of PCR 14 (lib/tpm/EVENTS.md). Each name once, but for policies. */
static int claim_osguard(const struct event_record *record, sd_json_variant **policies, struct claims *c,
                         struct error *e)
{
        static const struct {
                const char *event, *claim;
        } texts[] = {
                {"root", "root-hash"},
                {"selinux-policy", "selinux-policy"},
                {"payload", "payload"},
                {"failure", "failure"},
        };
        char source[64];

        (void)snprintf(source, sizeof(source), "PCR 14: event %lu, %.32s", (unsigned long)record->sequence,
                       record->name);
        if (strcmp(record->name, "image") == 0)
                return claim_image(record, source, c, e);
        if (strcmp(record->name, "cap") == 0)
                return add_boolean(c, "capped", true, source);
        if (strcmp(record->name, "ipe-policy") == 0)
                return append_text(policies, record->data, record->data_size);
        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                if (strcmp(record->name, texts[i].event) == 0)
                        return add_text(c, texts[i].claim, record->data, record->data_size, source);
        return -EBADMSG;
}

/* PCR 15: what belongs to this one machine. It is not capped: whoever is root may add to it, so a claim lists
 * the data of every event of its name. */
static int claim_machine(const struct event_record *record, struct claims *c)
{
        sd_json_variant *list = NULL;
        char name[32];
        int r;

        if (strlen(record->name) >= sizeof(name) - strlen("machine-"))
                return -EBADMSG;
        (void)stpcpy(stpcpy(name, "machine-"), record->name);
        for (size_t i = 0; i < c->n; i++)
                if (strcmp(c->items[i].name, name) == 0)
                        return append_text(&c->items[i].value, record->data, record->data_size);
        r = append_text(&list, record->data, record->data_size);
        return r < 0 ? r : add(c, name, list, "PCR 15: events of that name");
}

static int claim_log(const struct evidence_part *log, struct claims *c, struct error *e)
{
        _cleanup_json_ sd_json_variant *policies = NULL;
        struct event_record record = {};
        size_t offset = 0;
        int r;

        while ((r = event_log_next(log->bytes, log->size, &offset, &record, e)) > 0) {
                struct error inner = {};

                if (record.pcr == PCR_OSGUARD && claims_find(c, "capped"))
                        return error_set(e, -EBADMSG,
                                         "PCR 14: nothing after the cap expected, found event %lu",
                                         (unsigned long)record.sequence);
                if (record.pcr == PCR_OSGUARD)
                        r = claim_osguard(&record, &policies, c, &inner);
                else if (record.pcr == PCR_MACHINE)
                        r = claim_machine(&record, c);
                if (r < 0)
                        return error_set(e, -EBADMSG, "PCR %u: event %lu: an event of EVENTS.md expected%s%s",
                                         record.pcr, (unsigned long)record.sequence,
                                         inner.message[0] ? ": " : "", inner.message);
        }
        return r < 0 || record.pcr != PCR_OSGUARD
                       ? r
                       : add_list(c, "ipe-policies", policies, "PCR 14: events ipe-policy");
}

int claims_collect(const struct verified_evidence *v, struct claims *ret, struct error *e)
{
        _cleanup_claims_ struct claims c = {};
        struct error inner = {};
        int r;

        r = claim_quote(v, &c);
        if (r >= 0)
                r = claim_firmware(v, &c);
        if (r >= 0)
                r = claim_ima(v, &c, &inner);
        for (size_t i = 0; r >= 0 && i < v->evidence->n_logs; i++)
                r = claim_log(&v->evidence->logs[i], &c, &inner);
        if (r < 0)
                return inner.message[0] ? error_set(e, r, "%s", inner.message) : error_errno(e, r, "claims");
        *ret = c;
        c = (struct claims){};
        return 0;
}
